//! Receipts of a chain whose state, headers and signatures are made here.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_proto::Leaf;
use poq_proto::v1::{
    self, Answer, Chat, ChatMessage, ChatRole, DrawnLeaf, Finish, Session, SessionNode,
    SessionPayment, SessionSettlement, SessionStatus, Settlement, Task, TaskStatus, Terms,
};
use prost::Message;
use sha2::{Digest, Sha256};
use tendermint::block::signed_header::SignedHeader;
use tendermint::block::{self, Commit, CommitSig, Header, Height, parts};
use tendermint::vote::{Type, ValidatorIndex, Vote};
use tendermint::{AppHash, Hash, PublicKey, Time, account, validator};

use crate::Key;
use crate::proof::tests::tree_of;
use crate::receipt::*;

pub(super) const CHAIN: &str = "poq-test-1";
pub(super) const ANSWER: &str = "Because of Rayleigh scattering.";
pub(super) const PROMPT: &str = "Why is the sky blue?";

pub(super) fn terms() -> Terms {
    Terms {
        base_price: 1_000,
        price_per_prompt_byte: 10,
        price_per_answer_byte: 100,
        ..Terms::default()
    }
}

pub(super) fn chat() -> Chat {
    Chat {
        model: "m".into(),
        messages: vec![ChatMessage {
            role: ChatRole::User.into(),
            text: PROMPT.into(),
        }],
        max_answer_bytes: 512,
        min_quality: 5,
        ..Chat::default()
    }
}

pub(super) fn node() -> Key {
    Key::from_bytes(&[7; 32]).unwrap()
}

pub(super) fn leaf(number: u64) -> Leaf {
    let price = terms().price(PROMPT.len() as u64, ANSWER.len() as u64);
    Leaf {
        number,
        request: chat().digest(),
        answer: Sha256::digest(ANSWER).into(),
        prompt_bytes: PROMPT.len() as u32,
        answer_bytes: ANSWER.len() as u32,
        prompt_tokens: 6,
        answer_tokens: 7,
        min_quality: 5,
        finish: Finish::Stop,
        price,
        total: price * (number + 1),
    }
}

pub(super) fn log() -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    for number in 0..5 {
        tree.push(leaf(number).encode().to_vec());
    }
    tree
}

pub(super) fn open_session() -> Session {
    Session {
        id: 7,
        model: "m".into(),
        terms: Some(terms()),
        status: SessionStatus::Open.into(),
        node: Some(SessionNode {
            operator: "poq1node".into(),
            key: node().public_key(),
            ..SessionNode::default()
        }),
        ..Session::default()
    }
}

pub(super) fn paid_session() -> Session {
    let amount = leaf(4).total;
    Session {
        status: SessionStatus::Final.into(),
        settlement: Some(SessionSettlement {
            count: 5,
            root: log().root().as_bytes().to_vec(),
            amount,
            leaves: vec![DrawnLeaf {
                number: 3,
                price: leaf(3).price,
                total: leaf(3).total,
                points: 2,
                task_id: 9,
                ended: true,
                quality: Some(600_000),
                ..DrawnLeaf::default()
            }],
            ..SessionSettlement::default()
        }),
        payment: Some(SessionPayment {
            refund: amount / 2,
            ..SessionPayment::default()
        }),
        ..open_session()
    }
}

/// The header that commits to a state, signed by the first `signers` of the validators.
pub(super) fn signed_header(
    app_hash: Vec<u8>,
    validators: &[u8],
    signers: usize,
) -> (SignedHeader, Vec<Validator>) {
    let keys: Vec<_> = validators
        .iter()
        .map(|seed| ed25519_consensus::SigningKey::from([*seed; 32]))
        .collect();
    let public = |key: &ed25519_consensus::SigningKey| {
        PublicKey::from_raw_ed25519(key.verification_key().as_bytes()).unwrap()
    };
    let infos = keys
        .iter()
        .map(|key| validator::Info::new(public(key), 10_u32.into()));
    let set = validator::Set::without_proposer(infos.collect());
    let time = Time::from_unix_timestamp(1_700_000_000, 5).unwrap();
    let some = Hash::Sha256([1; 32]);
    let header = Header {
        version: block::header::Version { block: 11, app: 1 },
        chain_id: CHAIN.parse().unwrap(),
        height: Height::from(42_u32),
        time,
        last_block_id: Some(block::Id {
            hash: some,
            part_set_header: parts::Header::new(1, some).unwrap(),
        }),
        last_commit_hash: Some(some),
        data_hash: Some(some),
        validators_hash: set.hash(),
        next_validators_hash: set.hash(),
        consensus_hash: some,
        app_hash: AppHash::try_from(app_hash).unwrap(),
        last_results_hash: Some(some),
        evidence_hash: Some(some),
        proposer_address: account::Id::from(public(&keys[0])),
    };
    let block_id = block::Id {
        hash: header.hash(),
        part_set_header: parts::Header::new(1, Hash::Sha256([2; 32])).unwrap(),
    };
    let signatures = keys.iter().enumerate().map(|(number, key)| {
        if number >= signers {
            return CommitSig::BlockIdFlagAbsent;
        }
        let validator_address = account::Id::from(public(key));
        let vote = Vote {
            vote_type: Type::Precommit,
            height: header.height,
            round: 0_u16.into(),
            block_id: Some(block_id),
            timestamp: Some(time),
            validator_address,
            validator_index: ValidatorIndex::try_from(number).unwrap(),
            signature: None,
            extension: Vec::new(),
            extension_signature: None,
        };
        let signed = vote.into_signable_vec(header.chain_id.clone());
        let signature = key.sign(&signed).to_bytes();
        CommitSig::BlockIdFlagCommit {
            validator_address,
            timestamp: time,
            signature: Some(signature.as_slice().try_into().unwrap()),
        }
    });
    let commit = Commit {
        height: header.height,
        round: 0_u16.into(),
        block_id,
        signatures: signatures.collect(),
    };
    let validators = set.validators().iter().map(|info| Validator {
        pub_key: info.pub_key,
        power: info.power(),
    });
    let validators = validators.collect();
    (SignedHeader::new(header, commit).unwrap(), validators)
}

pub(super) fn state_of(
    key: &str,
    record: Vec<u8>,
    validators: &[u8],
    signers: usize,
) -> SignedState {
    let entries = [("a", b"1".to_vec()), (key, record), ("z", b"2".to_vec())];
    let (root, prove) = tree_of(entries);
    let proven = prove(key);
    let (signed_header, validators) = signed_header(root, validators, signers);
    SignedState {
        record: proven.value.unwrap(),
        proof: proven.proof,
        signed_header,
        validators,
    }
}

/// An answer that the node has signed.
pub(super) fn answer_part(leaf: &Leaf, text: &str) -> AnswerPart {
    let digest = leaf.receipt_digest(CHAIN, 7);
    AnswerPart {
        session: 7,
        leaf: v1::Leaf::from(leaf),
        signature: node().sign_digest(&digest).unwrap().to_vec(),
        path: None,
        chat: Some(chat()),
        answer: Some(text.into()),
    }
}

pub(super) fn answer_receipt(record: &Session, is_anchored: bool) -> Receipt {
    let leaf = match is_anchored {
        true => leaf(3),
        false => leaf(3).receipt(),
    };
    let proof = log().prove_inclusion(3);
    let path = proof.as_bytes().chunks_exact(32);
    Receipt {
        format: Format::V1,
        chain_id: CHAIN.into(),
        subject: Subject::Answer(AnswerPart {
            path: is_anchored.then(|| path.map(|hash| Sibling(hash.try_into().unwrap())).collect()),
            ..answer_part(&leaf, ANSWER)
        }),
        state: Some(state_of(&session_key(7), record.encode_to_vec(), &[1], 1)),
    }
}

pub(super) fn task_receipt() -> Receipt {
    let price = terms().price(PROMPT.len() as u64, ANSWER.len() as u64);
    let task = Task {
        id: 9,
        status: TaskStatus::Final.into(),
        prompt_sha256: Sha256::digest(PROMPT).to_vec(),
        prompt_bytes: PROMPT.len() as u32,
        escrow: price + 1,
        terms: Some(terms()),
        answer: Some(Answer {
            sha256: Sha256::digest(ANSWER).to_vec(),
            bytes: ANSWER.len() as u32,
            ..Answer::default()
        }),
        settlement: Some(Settlement {
            quality: 700_000,
            price,
            refund: 1,
            ..Settlement::default()
        }),
        ..Task::default()
    };
    Receipt {
        format: Format::V1,
        chain_id: CHAIN.into(),
        subject: Subject::Task(TaskPart {
            id: 9,
            prompt: Some(PROMPT.into()),
            answer: Some(ANSWER.into()),
        }),
        state: Some(state_of(&task_key(9), task.encode_to_vec(), &[1], 1)),
    }
}
