//! CometBFT v0.38's "Requirements for the Application", by their numbers there.

use poq_app::modules::beacon::{
    EXTENSION_BYTES, Input, Verifier, beacon_after_hash, beacon_after_outputs, verify,
};
use poq_app::{App, Options};
use proptest::prelude::*;
use prost::bytes::Bytes;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestFinalizeBlock, RequestVerifyVoteExtension};

use crate::network::{Network, ROOM, accepts, app, genesis, outputs, secret, values, verifies};
use crate::support::{CHAIN_ID, send};

/// A node that has seen only genesis and decided blocks, so its memories are empty.
fn twin(network: &Network, history: &[Vec<Bytes>], options: Options) -> (App, tempfile::TempDir) {
    let (app, folder) = app(&network.nodes[0].wallet, 0, options);
    Application::init_chain(&app, network.init_chain(&genesis(network.nodes.len()), 1));
    for (height, txs) in (1..).zip(history) {
        let mut commit = network.commit(&network.everybody());
        if height == 1 {
            commit = Some(Default::default());
        }
        Application::finalize_block(
            &app,
            RequestFinalizeBlock {
                txs: txs.clone(),
                decided_last_commit: commit,
                hash: vec![height as u8; 32].into(),
                height,
                ..Default::default()
            },
        );
        Application::commit(&app);
    }
    (app, folder)
}

/// Decides blocks with all votes, and returns their entries.
fn history(network: &mut Network, blocks: usize) -> Vec<Vec<Bytes>> {
    let everybody = network.everybody();
    let mut history = Vec::new();
    for _ in 0..blocks {
        let txs = network.propose(0, &[], &everybody, ROOM);
        network.vote();
        network.decide(&txs, &everybody);
        history.push(txs);
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Requirement 2: PrepareProposal returns at most `max_tx_bytes`. Requirement 3: every correct
    /// process accepts what a correct process prepares, whatever the votes for the block before,
    /// the extensions of late votes, the room and the mempool.
    #[test]
    fn requirements_2_and_3_prepared_proposals_are_accepted(
        rounds in prop::collection::vec(
            (
                0..7usize,
                prop::sample::subsequence((0..7usize).collect::<Vec<_>>(), 5..=7),
                prop::collection::vec(any::<u8>(), 0..200),
                1_000..3_000i64,
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..4),
            ),
            1..6,
        ),
    ) {
        let mut network = Network::new(&[10; 7], 1);
        network.block(&[]);
        for (proposer, signers, late, room, garbage) in rounds {
            // Six honest votes suffice for two thirds; the last signer's may be anything.
            if signers.len() > 5 {
                network.nodes[signers[5]].extension = late.into();
            }
            let mut txs = garbage;
            for amount in 1..5 {
                let message = send(&network.user, &network.nodes[0].wallet.address, amount);
                txs.push(network.user.sign(vec![message]));
            }
            network.user.sequence -= 4;
            let proposal = network.propose(proposer, &txs, &signers, room);
            let size: usize = proposal
                .iter()
                .map(|tx| 1 + prost::length_delimiter_len(tx.len()) + tx.len())
                .sum();
            prop_assert!(size as i64 <= room);
            prop_assert!(!proposal.is_empty());
            for node in network.everybody() {
                prop_assert!(network.accepts(node, &proposal, &signers));
            }
            network.vote();
            let previous: [u8; 32] = network.beacon().beacon.try_into().unwrap();
            network.decide(&proposal, &signers);
            prop_assert!(network.decided.tx_results.iter().all(|result| result.code == 0));
            network.user.sequence += proposal.len() as u64 - 1;
            // Anyone can recompute the beacon.
            let values = values(&outputs(&proposal));
            prop_assert_eq!(network.beacon().beacon, beacon_after_outputs(&previous, &values));
        }
    }

    /// Requirement 8: two correct processes give the same result for any extension.
    #[test]
    fn requirement_8_any_extension_gets_one_answer(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        flipped in 0..8 * EXTENSION_BYTES,
        validator in 0..4usize,
    ) {
        let mut network = Network::new(&[10; 4], 1);
        network.blocks(2);
        let good = network.extend(validator);
        let mut bent = good.to_vec();
        bent[flipped / 8] ^= 1 << (flipped % 8);
        for (extension, expected) in [(&good[..], true), (&bent, false), (&noise, false)] {
            for node in network.everybody() {
                prop_assert_eq!(network.verifies(node, validator, extension), expected);
            }
        }
    }
}

/// Requirements 4 and 5: acceptance of a proposal depends only on the block and the committed
/// state. A process that has just restarted, with other settings and without the others' votes,
/// mempool and memory, gives the same result.
#[test]
fn requirements_4_and_5_acceptance_depends_on_block_and_state() {
    let mut network = Network::new(&[10; 4], 1);
    let blocks = history(&mut network, 3);
    let options = Options { keep_versions: 0 };
    let (cold, _folder) = twin(&network, &blocks, options);
    let everybody = network.everybody();
    let good = network.propose(0, &[], &everybody, ROOM);
    let stale = blocks[2].clone();
    for (txs, signers, expected) in [
        (&good, &everybody[..], true),
        (&good, &everybody[..3], false),
        (&stale, &everybody[..], false),
        (&Vec::new(), &everybody[..], false),
    ] {
        for _ in 0..2 {
            assert_eq!(network.accepts(1, txs, signers), expected);
            assert_eq!(accepts(&cold, network.process(txs, signers)), expected);
        }
    }
}

/// Requirement 6: every correct process accepts the extension of a correct process, at every
/// height, also after it has seen wrong ones.
#[test]
fn requirement_6_extensions_of_correct_processes_are_accepted() {
    let mut network = Network::new(&[10, 1, 7, 1], 1);
    for _ in 0..4 {
        for validator in network.everybody() {
            let extension = network.extend(validator);
            assert_eq!(extension.len(), EXTENSION_BYTES);
            for node in network.everybody() {
                assert!(!network.verifies(node, validator, &[9; EXTENSION_BYTES]));
                assert!(network.verifies(node, validator, &extension));
            }
        }
        network.block(&[]);
    }
}

/// Requirement 7: acceptance of an extension depends only on the extension, the block and the
/// committed state, not on what a process has seen before, its settings, its keys or the round.
#[test]
fn requirement_7_verification_is_a_function_of_extension_and_state() {
    let mut network = Network::new(&[10; 4], 1);
    let blocks = history(&mut network, 2);
    let options = Options { keep_versions: 0 };
    let (cold, _folder) = twin(&network, &blocks, options);
    let extension = network.extend(2);
    let request = RequestVerifyVoteExtension {
        hash: vec![1; 32].into(),
        validator_address: network.address(2).into(),
        height: network.height + 1,
        vote_extension: extension.clone(),
    };
    assert!(network.verifies(0, 2, &extension));
    assert!(verifies(&cold, request.clone()));
    for wrong in [
        RequestVerifyVoteExtension {
            height: network.height,
            ..request.clone()
        },
        RequestVerifyVoteExtension {
            height: network.height + 2,
            ..request.clone()
        },
        RequestVerifyVoteExtension {
            validator_address: network.address(1).into(),
            ..request.clone()
        },
        RequestVerifyVoteExtension {
            validator_address: vec![9; 20].into(),
            ..request.clone()
        },
        RequestVerifyVoteExtension {
            height: i64::MIN,
            ..request.clone()
        },
    ] {
        for app in [&network.nodes[0].app, &network.nodes[2].app, &cold] {
            assert!(!verifies(app, wrong.clone()), "{wrong:?}");
        }
    }
    // The block of the vote does not matter.
    let other_block = RequestVerifyVoteExtension {
        hash: vec![2; 32].into(),
        ..request
    };
    assert!(verifies(&cold, other_block));
}

/// Requirement 9: PrepareProposal, ProcessProposal, ExtendVote and VerifyVoteExtension change no
/// state: a process called a hundred times has the same app hash as one that was never called.
#[test]
fn requirement_9_calls_before_a_decision_have_no_side_effects() {
    let mut network = Network::new(&[10; 4], 1);
    let mut blocks = history(&mut network, 2);
    let everybody = network.everybody();
    let before = network.beacon();
    let message = send(&network.user, &network.nodes[1].wallet.address, 5);
    let tx = network.user.sign(vec![message]);
    let mut proposal = Vec::new();
    for round in 0..25 {
        proposal = network.propose(round % 4, std::slice::from_ref(&tx), &everybody, ROOM);
        network.propose(0, &[], &everybody[..3], ROOM);
        assert!(network.accepts(0, &proposal, &everybody));
        assert!(!network.accepts(0, &proposal, &everybody[..2]));
        let extension = network.extend(0);
        assert!(network.verifies(0, 0, &extension));
        assert!(!network.verifies(0, 1, &extension));
    }
    assert_eq!(network.beacon(), before);
    network.decide(&proposal, &everybody);
    blocks.push(proposal);
    let (cold, _folder) = twin(&network, &blocks, Options::default());
    assert_eq!(cold.head().app_hash, network.nodes[0].app.head().app_hash);
}

/// Requirement 10: the state after a block does not depend on extensions received for that block.
#[test]
fn requirement_10_a_block_does_not_depend_on_its_own_extensions() {
    let (mut one, mut other) = (Network::new(&[10; 4], 1), Network::new(&[10; 4], 1));
    for network in [&mut one, &mut other] {
        network.block(&[]);
    }
    let everybody = one.everybody();
    let proposal = one.propose(0, &[], &everybody, ROOM);
    one.vote();
    one.decide(&proposal, &everybody);
    other.decide(&proposal, &everybody);
    assert_eq!(one.decided.app_hash, other.decided.app_hash);
}

/// The memory of valid outputs does not change the result of `beacon::verify`.
#[test]
fn an_extension_can_be_verified_off_line() {
    let network = Network::new(&[10; 4], 1);
    let input = Input {
        chain_id: CHAIN_ID,
        height: 1,
        previous: beacon_after_hash(&[], CHAIN_ID.as_bytes()),
        validator: &network.address(3),
    };
    let (key, extension) = (secret(3).public_key(), network.extend(3));
    let output = verify(&key, &input, &extension);
    assert_eq!(
        output.as_ref().map(|output| &output[..]),
        Some(&extension[..32])
    );
    assert_eq!(Verifier::default().verify(&key, &input, &extension), output);
}
