//! A validator with a remote signer, such as tmkms or horcrux.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_consensus::SigningKey;
use prost::Message as _;
use serde_json::Value;
use tendermint_proto::v0_38::crypto::{PublicKey, public_key};
use tendermint_proto::v0_38::privval::message::Sum;
use tendermint_proto::v0_38::privval::{
    Message, PingResponse, PubKeyResponse, SignedProposalResponse, SignedVoteResponse,
};
use tendermint_proto::v0_38::types::{
    BlockId, CanonicalBlockId, CanonicalPartSetHeader, CanonicalProposal, CanonicalVote,
    CanonicalVoteExtension, Proposal, SignedMsgType, Vote,
};

use crate::support::{Network, Run, eventually, poqd};

/// Signs every request on a Unix socket until the node is gone.
struct Signer(SigningKey);

impl Signer {
    fn serve(self, socket: &Path) {
        let socket = socket.to_owned();
        thread::spawn(move || {
            let stream = eventually("CometBFT's socket", || UnixStream::connect(&socket).ok());
            while let Some(request) = receive(&stream) {
                let response = Message {
                    sum: Some(self.answer(request)),
                };
                let bytes = response.encode_length_delimited_to_vec();
                if (&stream).write_all(&bytes).is_err() {
                    return;
                }
            }
        });
    }

    fn answer(&self, request: Sum) -> Sum {
        match request {
            Sum::PubKeyRequest(_) => {
                let key = self.0.verification_key().to_bytes().to_vec();
                Sum::PubKeyResponse(PubKeyResponse {
                    pub_key: Some(PublicKey {
                        sum: Some(public_key::Sum::Ed25519(key)),
                    }),
                    error: None,
                })
            }
            Sum::SignVoteRequest(request) => Sum::SignedVoteResponse(SignedVoteResponse {
                vote: request.vote.map(|vote| self.vote(vote, request.chain_id)),
                error: None,
            }),
            Sum::SignProposalRequest(request) => {
                let proposal = request.proposal;
                Sum::SignedProposalResponse(SignedProposalResponse {
                    proposal: proposal.map(|proposal| self.proposal(proposal, request.chain_id)),
                    error: None,
                })
            }
            Sum::PingRequest(_) => Sum::PingResponse(PingResponse {}),
            other => panic!("CometBFT sent {other:?}"),
        }
    }

    fn vote(&self, mut vote: Vote, chain_id: String) -> Vote {
        let block_id = canonical(vote.block_id.clone());
        let is_for_a_block = block_id.is_some();
        let document = CanonicalVote {
            r#type: vote.r#type,
            height: vote.height,
            round: vote.round.into(),
            block_id,
            timestamp: vote.timestamp,
            chain_id: chain_id.clone(),
        };
        vote.signature = self.sign(&document);
        if is_for_a_block && vote.r#type() == SignedMsgType::Precommit {
            let document = CanonicalVoteExtension {
                extension: vote.extension.clone(),
                height: vote.height,
                round: vote.round.into(),
                chain_id,
            };
            vote.extension_signature = self.sign(&document);
        }
        vote
    }

    fn proposal(&self, mut proposal: Proposal, chain_id: String) -> Proposal {
        let document = CanonicalProposal {
            r#type: proposal.r#type,
            height: proposal.height,
            round: proposal.round.into(),
            pol_round: proposal.pol_round.into(),
            block_id: canonical(proposal.block_id.clone()),
            timestamp: proposal.timestamp,
            chain_id,
        };
        proposal.signature = self.sign(&document);
        proposal
    }

    fn sign(&self, document: &impl prost::Message) -> Vec<u8> {
        let bytes = document.encode_length_delimited_to_vec();
        self.0.sign(&bytes).to_bytes().to_vec()
    }
}

/// Converts a block id; `None` stands for a vote for nil.
fn canonical(block_id: Option<BlockId>) -> Option<CanonicalBlockId> {
    let block_id = block_id.filter(|id| !id.hash.is_empty())?;
    let parts = block_id.part_set_header.unwrap_or_default();
    Some(CanonicalBlockId {
        hash: block_id.hash,
        part_set_header: Some(CanonicalPartSetHeader {
            total: parts.total,
            hash: parts.hash,
        }),
    })
}

/// The next request; `None` once CometBFT is gone.
fn receive(mut stream: &UnixStream) -> Option<Sum> {
    let mut length = 0;
    for shift in (0..).step_by(7) {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).ok()?;
    Message::decode(bytes.as_slice()).unwrap().sum
}

fn config(home: &Path, key: &str, value: &str) {
    let mut command = poqd(&format!("config set {key} {value} --home"));
    let output = command.arg(home).finish();
    assert!(output.status.success(), "{output:?}");
}

/// Moves the key file of the home to the signer; CometBFT creates a dummy in its place.
fn take_key(network: &Network) -> (SigningKey, String) {
    let path = network.node().join("config/priv_validator_key.json");
    let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    fs::remove_file(&path).unwrap();
    let bytes = |pointer: &str| {
        let text = file.pointer(pointer).and_then(Value::as_str).unwrap();
        BASE64.decode(text).unwrap()
    };
    let secret: [u8; 32] = bytes("/priv_key/value")[..32].try_into().unwrap();
    let public = BASE64.encode(bytes("/pub_key/value"));
    (SigningKey::from(secret), public)
}

#[test]
fn a_validator_with_a_remote_signer_votes_once_it_is_said_which_one_it_is() {
    let network = Network::new();
    let socket = network.path().join("signer.sock");
    let laddr = format!("unix://{}", socket.display());
    config(&network.node(), "comet.priv_validator_laddr", &laddr);
    let (key, public) = take_key(&network);

    let mut node = network.spawn(&[]);
    assert_eq!(node.ended(), Some(1));
    let log = node.log();
    assert!(
        log.contains("remote signer") && log.contains("config set app.validator-public-key"),
        "{log}"
    );

    config(&network.node(), "app.validator-public-key", &public);
    Signer(key).serve(&socket);
    let _node = network.start();
    // A chain of one validator needs its extended vote for every block, and `start` has seen two blocks.
    // The beacon shows that their VRF outputs counted.
    eventually("a beacon of outputs", || {
        thread::sleep(Duration::from_millis(100));
        let beacon = network.user("query poq beacon").json();
        (beacon["form"] == "BEACON_FORM_VOTE_OUTPUTS").then_some(())
    });
}

/// Only this node can find out: the others just see an absent validator.
#[test]
fn a_node_that_extends_the_votes_of_another_validator_stops() {
    let network = Network::new();
    let other = BASE64.encode([7; 32]);
    config(&network.node(), "app.validator-public-key", &other);
    let mut node = network.spawn(&[]);
    assert_eq!(node.ended(), Some(1));
    let log = node.log();
    let path = network.node().join("config/priv_validator_key.json");
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let own = file["pub_key"]["value"].as_str().unwrap();
    assert!(
        log.contains(&format!("config set app.validator-public-key {own}")),
        "{log}"
    );

    let node = network.spawn(&["--without-vrf-key".as_ref()]);
    eventually("the error", || {
        node.log().contains("its votes do not count").then_some(())
    });
}
