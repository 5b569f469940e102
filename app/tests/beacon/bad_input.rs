//! Blocks of byzantine proposers and votes of byzantine validators.

use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, Fee, SignerInfo, TxBody, TxRaw};
use poq_app::modules::beacon::{beacon_after_hash, beacon_after_outputs, encode, parse};
use poq_proto::code;
use poq_proto::v1::{BeaconForm, MsgVoteOutputs, VoteOutput};
use prost::bytes::Bytes;
use prost::{Message, Name};
use tendermint_abci::Application;
use tendermint_proto::google::protobuf::Any;
use tendermint_proto::v0_38::abci::{CheckTxType, RequestCheckTx};

use crate::network::{Network, ROOM, outputs, values};
use crate::support::send;

/// Three of four have signed; every node has seen the good proposal.
struct Case {
    network: Network,
    signers: Vec<usize>,
    good: Vec<Bytes>,
}

impl Case {
    fn new() -> Self {
        let mut network = Network::new(&[10, 10, 10, 10, 10], 1);
        network.blocks(3);
        let signers = vec![0, 1, 2, 3];
        let message = send(&network.user, &network.nodes[0].wallet.address, 5);
        let tx = network.user.sign(vec![message]);
        let good = network.propose(0, &[tx], &signers, ROOM);
        assert!(network.accepts(1, &good, &signers));
        Self {
            network,
            signers,
            good,
        }
    }

    fn with(&self, change: impl FnOnce(&mut MsgVoteOutputs)) -> Vec<Bytes> {
        let mut carried = outputs(&self.good);
        change(&mut carried);
        self.first(encode(&carried))
    }

    /// The entry, with a part of the transaction changed.
    fn as_tx(
        &self,
        change: impl FnOnce(&mut TxBody, &mut AuthInfo, &mut Vec<Vec<u8>>),
    ) -> Vec<Bytes> {
        let mut raw = TxRaw::decode(&self.good[0][..]).unwrap();
        let mut body = TxBody::decode(&raw.body_bytes[..]).unwrap();
        let mut auth_info = AuthInfo::decode(&raw.auth_info_bytes[..]).unwrap();
        change(&mut body, &mut auth_info, &mut raw.signatures);
        raw.body_bytes = body.encode_to_vec();
        raw.auth_info_bytes = auth_info.encode_to_vec();
        self.first(raw.encode_to_vec())
    }

    fn first(&self, entry: Vec<u8>) -> Vec<Bytes> {
        let mut txs = self.good.clone();
        txs[0] = entry.into();
        txs
    }
}

/// Every wrong form of a block that should carry outputs.
fn wrong_blocks(case: &Case) -> Vec<(&'static str, Vec<Bytes>)> {
    let good = &case.good;
    let raw = good[0].to_vec();
    // A valid output of a validator that has not signed the block.
    let absent = VoteOutput {
        validator: case.network.address(4),
        extension: case.network.nodes[4].extension.to_vec(),
    };
    let stranger = VoteOutput {
        validator: vec![255; 20],
        ..absent.clone()
    };
    let mut unknown_field = raw.clone();
    unknown_field.extend([0x10, 1]);
    let of_next_height = case.network.extend(0).to_vec();
    let owner = outputs(good)
        .outputs
        .iter()
        .position(|o| o.validator == case.network.address(0));
    let owner = owner.unwrap();
    vec![
        ("missing", good[1..].to_vec()),
        ("no entries at all", Vec::new()),
        ("twice", [&good[..1], &good[..]].concat()),
        ("not first", vec![good[1].clone(), good[0].clone()]),
        ("empty", case.first(Vec::new())),
        (
            "the message without a transaction",
            case.first(outputs(good).encode_to_vec()),
        ),
        (
            "with a memo",
            case.as_tx(|body, _, _| body.memo = "m".into()),
        ),
        (
            "with the message twice",
            case.as_tx(|body, _, _| body.messages.push(body.messages[0].clone())),
        ),
        (
            "as another message",
            case.as_tx(|body, _, _| body.messages[0].type_url = "/poq.v1.VoteOutput".into()),
        ),
        (
            "without a fee",
            case.as_tx(|_, auth_info, _| auth_info.fee = None),
        ),
        (
            "with gas",
            case.as_tx(|_, auth_info, _| {
                auth_info.fee = Some(Fee {
                    gas_limit: 1,
                    ..Fee::default()
                });
            }),
        ),
        (
            "with a signer",
            case.as_tx(|_, auth_info, _| auth_info.signer_infos.push(SignerInfo::default())),
        ),
        (
            "with a signature",
            case.as_tx(|_, _, signatures| signatures.push(vec![0; 64])),
        ),
        ("cut off", case.first(raw[..raw.len() - 1].to_vec())),
        ("a trailing byte", case.first([&raw[..], &[0]].concat())),
        ("an unknown field", case.first(unknown_field)),
        (
            "garbage of 33 KB",
            case.first([&raw[..], &[0xa; 33 << 10]].concat()),
        ),
        ("garbage of 1 MB", case.first(vec![0xff; 1 << 20])),
        ("no outputs", case.with(|carried| carried.outputs.clear())),
        (
            "too little power",
            case.with(|carried| {
                carried.outputs.pop();
            }),
        ),
        (
            "another order",
            case.with(|carried| carried.outputs.reverse()),
        ),
        (
            "one validator twice",
            case.with(|carried| {
                let first = carried.outputs[0].clone();
                carried.outputs.insert(0, first);
            }),
        ),
        (
            "who has not signed",
            case.with(|carried| {
                carried.outputs.push(absent);
                carried
                    .outputs
                    .sort_by(|one, other| one.validator.cmp(&other.validator));
            }),
        ),
        (
            "who is not a validator",
            case.with(|carried| carried.outputs.push(stranger)),
        ),
        (
            "somebody else's output",
            case.with(|carried| {
                carried.outputs[0].extension = carried.outputs[1].extension.clone();
            }),
        ),
        (
            "an output of another height",
            case.with(|carried| {
                carried.outputs[owner].extension = of_next_height;
            }),
        ),
        (
            "a wrong proof",
            case.with(|carried| carried.outputs[0].extension[80] ^= 1),
        ),
        (
            "an extension of 0 B",
            case.with(|carried| carried.outputs[0].extension.clear()),
        ),
        (
            "an extension of 33 KB",
            case.with(|carried| {
                carried.outputs[0].extension.resize(33 << 10, 0);
            }),
        ),
        (
            "an extension of 1 MB",
            case.with(|carried| {
                carried.outputs[0].extension.resize(1 << 20, 0);
            }),
        ),
    ]
}

#[test]
fn wrong_outputs_are_refused() {
    let case = Case::new();
    for (what, txs) in wrong_blocks(&case) {
        for node in case.network.everybody() {
            assert!(!case.network.accepts(node, &txs, &case.signers), "{what}");
        }
    }
    // A commit without two thirds of the power, which CometBFT would never pass.
    assert!(!case.network.accepts(0, &case.good, &case.signers[..3]));
    assert!(case.network.accepts(0, &case.good, &case.signers));
}

/// No two thirds of honest power decide such a block. If they do, every node continues in the same
/// way, with the first form of the beacon.
#[test]
fn a_decided_block_with_wrong_outputs_stops_nobody() {
    let names = wrong_blocks(&Case::new());
    for (index, (what, _)) in names.iter().enumerate() {
        let mut case = Case::new();
        let txs = wrong_blocks(&case).remove(index).1;
        let previous: [u8; 32] = case.network.beacon().beacon.try_into().unwrap();
        let signers = case.signers.clone();
        case.network.vote();
        case.network.decide_with_hash(&txs, &signers, [77; 32]);
        let expected = match *what {
            // The first of the two is valid.
            "twice" => beacon_after_outputs(&previous, &values(&outputs(&txs))),
            // The hash is that of the last block without outputs, which is the first one.
            _ => beacon_after_hash(&previous, &[1; 32]),
        };
        assert_eq!(case.network.beacon().beacon, expected, "{what}");
        // The entry with outputs fails, and the chain continues.
        for (tx, result) in txs
            .iter()
            .zip(&case.network.decided.tx_results)
            .skip(usize::from(*what == "twice"))
        {
            if parse(tx).is_some() {
                assert_ne!(result.code, 0, "{what}");
            }
        }
        case.network.block(&[]);
    }
}

#[test]
fn outputs_never_enter_a_mempool() {
    let mut case = Case::new();
    let signed = case.network.user.sign(vec![Any {
        type_url: MsgVoteOutputs::type_url(),
        value: outputs(&case.good).encode_to_vec(),
    }]);
    for bytes in [case.good[0].clone(), signed.into()] {
        for kind in [CheckTxType::New, CheckTxType::Recheck] {
            let request = RequestCheckTx {
                tx: bytes.clone(),
                r#type: kind.into(),
            };
            let answer = Application::check_tx(&case.network.nodes[0].app, request);
            assert_eq!(answer.code, code::NOT_A_TRANSACTION.number);
        }
        // A proposer does not include one from the mempool either.
        let proposal = case
            .network
            .propose(0, &[bytes.to_vec()], &case.signers, ROOM);
        assert_eq!(proposal, case.good[..1]);
    }
}

/// Explorers and clients can decode the entry like any transaction.
#[test]
fn an_entry_decodes_as_a_transaction() {
    let case = Case::new();
    let tx = cosmos_sdk_proto::cosmos::tx::v1beta1::Tx::decode(&case.good[0][..]).unwrap();
    let body = tx.body.unwrap();
    assert_eq!(body.messages.len(), 1);
    assert_eq!(body.messages[0].type_url, "/poq.v1.MsgVoteOutputs");
    let read = MsgVoteOutputs::decode(&body.messages[0].value[..]).unwrap();
    assert_eq!(read, outputs(&case.good));
    assert_eq!(tx.auth_info.unwrap().fee, Some(Fee::default()));
    assert!(tx.signatures.is_empty());
}

#[test]
fn before_they_are_due_outputs_are_refused() {
    let mut network = Network::new(&[10; 4], 4);
    let everybody = network.everybody();
    network.blocks(2);
    let entry = Bytes::from(encode(&MsgVoteOutputs::default()));
    assert!(!network.accepts(0, std::slice::from_ref(&entry), &everybody));
    assert!(network.accepts(0, &[], &everybody));
    network.decide(&[entry], &everybody);
    let result = &network.decided.tx_results[0];
    assert_eq!(result.code, code::NOT_A_TRANSACTION.number);
    assert_eq!(network.beacon().form(), BeaconForm::BlockHash);
}

#[test]
fn extensions_of_any_size_are_verified() {
    let mut network = Network::new(&[10; 4], 1);
    network.blocks(2);
    let good = network.extend(1);
    assert!(network.verifies(0, 1, &good));
    for length in [0, 95, 97, 33 << 10, 1 << 20] {
        let mut bytes = good.to_vec();
        bytes.resize(length, 0);
        assert!(!network.verifies(0, 1, &bytes), "{length} bytes");
    }
}

/// A proposal must fit, and outputs take precedence over everything else.
#[test]
fn outputs_leave_no_room_rather_than_too_little() {
    let case = Case::new();
    let message = send(&case.network.user, &case.network.nodes[0].wallet.address, 5);
    let mut user = crate::support::Wallet::new(1, 0);
    user.sequence = case.network.user.sequence - 1;
    let tx = user.sign(vec![message]);
    let entry = case.good[0].len() as i64 + 3;
    // Not even the outputs fit: CometBFT accepts no more than it asked for, so the proposal fails.
    let proposal = case.network.propose(0, &[], &case.signers, entry - 1);
    assert!(proposal.is_empty());
    for (room, entries) in [
        (entry, 1),
        // Half of the remaining room is reserved for duties.
        (entry + 2 * tx.len() as i64, 1),
        (entry + 2 * (tx.len() as i64 + 3), 2),
    ] {
        let proposal = case
            .network
            .propose(0, std::slice::from_ref(&tx), &case.signers, room);
        assert_eq!(proposal.len(), entries);
        assert!(case.network.accepts(2, &proposal, &case.signers));
    }
}
