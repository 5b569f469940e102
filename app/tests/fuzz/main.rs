//! Arbitrary and nearly valid input in every phase of ABCI: nothing panics, and nodes stay alike.
//!
//! Each target runs for half a minute, or for `POQ_FUZZ_SECONDS`. `cargo bolero test --package poq-app
//! fuzz::NAME` runs the same target under a fuzzer that follows coverage.

#[path = "../support/mod.rs"]
mod support;

#[path = "../sessions/log.rs"]
#[allow(dead_code, reason = "the tests of sessions use the rest")]
mod log;

mod edit;
mod messages;
mod sessions;

use std::sync::LazyLock;
use std::time::Duration;

use bolero::check;
use edit::Edit;
use poq_app::modules::beacon::ExtendedVote;
use poq_app::tx::Signatures;
use poq_app::{Error, Result};
use support::{Chain, Wallet, params};

/// The run time of a target.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of tests, not of nodes"
)]
fn time() -> Duration {
    let seconds = std::env::var("POQ_FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(30))
}

/// External input may be refused but never causes a fault of the node.
fn assert_no_fault<T>(outcome: Result<T>) {
    match outcome {
        Ok(_) | Err(Error::Rejected { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// The key of the vouchers.
fn session_key() -> Wallet {
    Wallet::new(9, 0)
}

fn public_key(wallet: &Wallet) -> Vec<u8> {
    let point = wallet.key.verifying_key().to_encoded_point(true);
    point.as_bytes().to_vec()
}

/// A chain with a task in every phase, and transactions for all of them.
struct World {
    chain: Chain,
    twin: Chain,
    txs: Vec<Vec<u8>>,
}

/// A failed case ends its target: no code uses a world after a panic.
impl std::panic::RefUnwindSafe for World {}

impl World {
    fn new() -> Self {
        let [mut chain, mut twin] = [(); 2].map(|()| messages::chain(params()));
        let txs = messages::transactions(&mut chain);
        assert_eq!(txs, messages::transactions(&mut twin));
        Self { chain, twin, txs }
    }

    /// The entries of a block, after edited vote outputs or without any.
    fn block(&self, carries: bool, edits: &[(u8, Vec<Edit>)], outputs: &[Edit]) -> Vec<Vec<u8>> {
        let mut entries = self.entries(edits);
        if carries {
            entries = self.chain.carrying(&entries);
            entries[0] = edit::edited(&entries[0], outputs);
        }
        entries
    }

    fn entries(&self, edits: &[(u8, Vec<Edit>)]) -> Vec<Vec<u8>> {
        let entry = |(template, edits): &(u8, Vec<Edit>)| {
            let template = &self.txs[usize::from(*template) % self.txs.len()];
            edit::edited(template, edits)
        };
        edits.iter().map(entry).collect()
    }
}

#[test]
fn transactions_decode_or_are_refused() {
    let world = World::new();
    let params = params();
    check!()
        .with_type::<(u8, Vec<Edit>)>()
        .with_test_time(time())
        .for_each(|(template, edits)| {
            let world = &world;
            let bytes = world.entries(&[(*template, edits.clone())]).remove(0);
            assert_no_fault(poq_app::tx::decode(&bytes, &params));
        });
}

#[test]
fn check_tx_takes_what_it_decodes_or_refuses_it() {
    let world = World::new();
    check!()
        .with_type::<(u8, Vec<Edit>)>()
        .with_test_time(time())
        .for_each(|(template, edits)| {
            let world = &world;
            let bytes = world.entries(&[(*template, edits.clone())]).remove(0);
            assert_no_fault(world.chain.app.check_tx(&bytes, Signatures::Verify));
        });
}

/// The bytes of messages are edited and then signed, so the state machine gets well-formed
/// transactions.
#[test]
fn signed_messages_of_any_content_change_all_nodes_alike() {
    let mut world = World::new();
    let messages = messages::messages(&mut world.chain);
    check!()
        .with_type::<Vec<(u8, Vec<Edit>)>>()
        .with_test_time(time())
        .for_each(|edits| {
            let world = &world;
            let mut signers = messages::signers(&world.chain);
            let txs: Vec<Vec<u8>> = edits
                .iter()
                .map(|(template, edits)| {
                    let (signer, message) = &messages[usize::from(*template) % messages.len()];
                    let value = edit::edited(&message.value, edits);
                    let message = tendermint_proto::google::protobuf::Any {
                        value,
                        ..message.clone()
                    };
                    signers[*signer].sign(vec![message])
                })
                .collect();
            same_on_both(world, &world.chain.carrying(&txs));
        });
}

#[test]
fn what_is_prepared_is_accepted() {
    let world = World::new();
    check!()
        .with_type::<(Vec<(u8, Vec<Edit>)>, u16)>()
        .with_test_time(time())
        .for_each(|(edits, room)| {
            let world = &world;
            let proposal = world
                .chain
                .prepare(&world.entries(edits), usize::from(*room));
            let entries = world.twin.carrying(&proposal);
            let block = world.twin.next(&[7; 32], &entries);
            world.twin.app.process_proposal(&block).unwrap();
        });
}

#[test]
fn any_proposal_is_judged() {
    let world = World::new();
    check!()
        .with_type::<(bool, Vec<(u8, Vec<Edit>)>, Vec<Edit>)>()
        .with_test_time(time())
        .for_each(|(carries, edits, outputs)| {
            let world = &world;
            let entries = world.block(*carries, edits, outputs);
            let block = world.chain.next(&[7; 32], &entries);
            assert_no_fault(world.chain.app.process_proposal(&block));
        });
}

/// This includes blocks that no validator should accept.
#[test]
fn any_decided_block_changes_all_nodes_alike() {
    let world = World::new();
    check!()
        .with_type::<(bool, Vec<(u8, Vec<Edit>)>, Vec<Edit>)>()
        .with_test_time(time())
        .for_each(|(carries, edits, outputs)| {
            let world = &world;
            let entries = world.block(*carries, edits, outputs);
            same_on_both(world, &entries);
        });
}

/// Executes a block on two nodes without committing it.
fn same_on_both(world: &World, entries: &[Vec<u8>]) {
    let hash = [7; 32];
    let one = world
        .chain
        .app
        .finalize_block(&world.chain.next(&hash, entries))
        .unwrap();
    let other = world
        .twin
        .app
        .finalize_block(&world.twin.next(&hash, entries))
        .unwrap();
    assert_eq!(one.1, other.1);
    assert_eq!(one.0.results, other.0.results);
    assert_eq!(one.0.events, other.0.events);
    assert_eq!(one.0.results.len(), entries.len());
}

#[test]
fn only_the_right_extension_is_verified() {
    let mut world = World::new();
    // The extensions of the votes for the last block must be verified on the state before that
    // block.
    world.chain.blocks(1);
    let right = world.chain.extensions().remove(0);
    check!()
        .with_type::<(u8, Vec<Edit>)>()
        .with_test_time(time())
        .for_each(|(ahead, edits)| {
            let world = &world;
            let vote = ExtendedVote {
                extension: edit::edited(&right.extension, edits),
                ..right.clone()
            };
            let height = world.twin.height + 1 + u64::from(*ahead);
            let verified = world.twin.app.verify_vote_extension(height, &vote);
            let is_right = vote == right && *ahead == 0;
            assert_eq!(verified.is_ok(), is_right);
            assert_no_fault(verified);
        });
}

#[test]
fn any_query_gets_an_answer() {
    let world = World::new();
    check!()
        .with_type::<(u8, Option<u16>, Vec<u8>)>()
        .with_test_time(time())
        .for_each(|(path, height, data)| {
            let world = &world;
            let path = messages::QUERIES[usize::from(*path) % messages::QUERIES.len()];
            let height = height.map(u64::from);
            assert_no_fault(world.chain.app.query(path, data, height));
            assert_no_fault(world.chain.app.prove(data, height));
        });
}

#[test]
fn any_genesis_is_read_or_refused() {
    static GENESIS: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let people = support::People::new(1, 2);
        serde_json::to_vec(&people.genesis(params())).unwrap()
    });
    check!()
        .with_type::<Vec<Edit>>()
        .with_test_time(time())
        .for_each(|edits| {
            let json = edit::edited(&GENESIS, edits);
            if let Ok(genesis) = poq_app::genesis::parse(&json) {
                if let Some(params) = &genesis.params {
                    assert_no_fault(poq_app::modules::params::validate(params));
                }
                let folder = tempfile::tempdir().unwrap();
                let scorer = std::sync::Arc::new(poq_app::NoReference);
                let options = poq_app::Options::default();
                let app = poq_app::App::open(folder.path(), options, scorer).unwrap();
                assert_no_fault(app.init_chain("fuzz-1", &json, &[], 0));
            }
        });
}

/// The templates themselves are valid.
#[test]
fn unedited_transactions_succeed() {
    let mut world = World::new();
    let results = world.chain.block(&world.txs.clone());
    let failed: Vec<_> = results.iter().filter(|result| result.code != 0).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
