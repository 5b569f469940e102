//! Enabling vote extensions.

use std::sync::Arc;

use poq_app::{App, Options};
use poq_proto::code::{self, Code};
use poq_proto::v1::*;
use tendermint_proto::v0_38::abci::ResponseFinalizeBlock;
use tendermint_proto::v0_38::types::{AbciParams, ConsensusParams};

use crate::network::{Network, ROOM, genesis, outputs, secret};
use crate::support::{CHAIN_ID, STAKE, TextScorer, Wallet, any, powers};

fn enable(network: &mut Network, height: u64) -> u32 {
    let message = any(&MsgEnableVoteExtensions {
        authority: network.user.address.clone(),
        height,
    });
    let tx = network.user.sign(vec![message]);
    network.block(&[tx])[0].code
}

/// The height of the next block, and whether it must carry outputs.
fn carries(network: &Network) -> bool {
    !network
        .propose(0, &[], &network.everybody(), ROOM)
        .is_empty()
}

#[test]
fn votes_for_the_first_height_are_carried_in_the_second() {
    for first in [1, 2, 5] {
        let mut network = Network::new(&[10; 4], first);
        for height in 1..8 {
            assert_eq!(carries(&network), height > first, "{height}");
            let extension = network.extend(0);
            assert_eq!(
                network.verifies(1, 0, &extension),
                height >= first,
                "{height}"
            );
            network.block(&[]);
            let form = match height > first {
                true => BeaconForm::VoteOutputs,
                false => BeaconForm::BlockHash,
            };
            let beacon = network.beacon();
            assert_eq!((beacon.form(), beacon.height), (form, height as u64));
            assert_eq!(beacon.vote_extensions_height, first as u64);
        }
    }
}

#[test]
fn a_running_chain_begins_when_the_authority_says() {
    let mut network = Network::new(&[10; 4], 0);
    network.blocks(2);
    assert!(!carries(&network));
    for (height, expected) in [
        (0, code::INVALID_ENABLE_HEIGHT),
        (3, code::INVALID_ENABLE_HEIGHT),
        (6, code::INVALID_ENABLE_HEIGHT),
        (u64::MAX, code::INVALID_ENABLE_HEIGHT),
    ] {
        assert_eq!(enable(&mut network, height), expected.number, "{height}");
        assert_eq!(network.decided.consensus_param_updates, None);
    }
    // The message is in block 7 and names block 9.
    assert_eq!(network.height, 6);
    assert_eq!(enable(&mut network, 9), 0);
    let update = ConsensusParams {
        abci: Some(AbciParams {
            vote_extensions_enable_height: 9,
        }),
        ..ConsensusParams::default()
    };
    assert_eq!(network.decided.consensus_param_updates, Some(update));
    assert_eq!(enable(&mut network, 20), code::EXTENSIONS_ENABLED.number);
    assert_eq!(network.decided.consensus_param_updates, None);
    for height in 9..12 {
        assert_eq!(carries(&network), height > 9, "{height}");
        network.block(&[]);
    }
    assert_eq!(
        outputs(&network.propose(0, &[], &[0, 1, 2], ROOM))
            .outputs
            .len(),
        3
    );
}

#[test]
fn only_the_authority_decides() {
    let mut network = Network::new(&[10; 4], 0);
    network.block(&[]);
    let message = any(&MsgEnableVoteExtensions {
        authority: network.nodes[0].wallet.address.clone(),
        height: 9,
    });
    let tx = network.nodes[0].wallet.sign(vec![message]);
    assert_eq!(network.block(&[tx])[0].code, code::UNAUTHORIZED.number);
    assert_eq!(network.beacon().vote_extensions_height, 0);
}

/// Every validator with power needs a key, and a validator without one gets no power.
#[test]
fn everybody_with_power_needs_a_key() {
    let mut keyless = genesis(3);
    keyless.validators[1].vrf_key.clear();
    let mut network = Network::from_genesis(&keyless, &[10; 3], 0);
    network.block(&[]);
    assert_eq!(enable(&mut network, 30), code::NO_VRF_KEY.number);
    // The key is effective ten blocks later, not before.
    let message = any(&MsgSetVrfKey {
        operator: network.nodes[1].wallet.address.clone(),
        vrf_key: secret(1).public_key().to_vec(),
    });
    let tx = network.nodes[1].wallet.sign(vec![message]);
    assert_eq!(network.block(&[tx])[0].code, 0);
    let effective = network.registered(1).next_vrf_key_height;
    assert_eq!(effective, network.height as u64 + 10);
    assert_eq!(enable(&mut network, effective - 1), code::NO_VRF_KEY.number);
    assert_eq!(enable(&mut network, effective), 0);

    let newcomer = register(&mut network, Vec::new());
    assert_eq!(power(&mut network, &newcomer), code::NO_VRF_KEY.number);
    let newcomer = Wallet::new(1, 0).address;
    assert_eq!(power(&mut network, &newcomer), code::NO_VRF_KEY.number);
}

/// Registers the user as a validator; returns the operator.
fn register(network: &mut Network, vrf_key: Vec<u8>) -> String {
    let message = any(&MsgRegisterValidator {
        operator: network.user.address.clone(),
        public_key: network.user.consensus_key(),
        stake: STAKE,
        vrf_key,
        ..MsgRegisterValidator::default()
    });
    let tx = network.user.sign(vec![message]);
    let result = network.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
    network.user.address.clone()
}

fn power(network: &mut Network, operator: &str) -> u32 {
    let message = any(&MsgSetValidatorPower {
        authority: network.user.address.clone(),
        operator: operator.into(),
        power: 3,
    });
    let tx = network.user.sign(vec![message]);
    network.block(&[tx])[0].code
}

#[test]
fn a_newcomer_with_a_key_gets_power() {
    let mut network = Network::new(&[10; 3], 1);
    network.block(&[]);
    let operator = register(&mut network, secret(9).public_key().to_vec());
    assert_eq!(power(&mut network, &operator), 0);
    let ResponseFinalizeBlock {
        validator_updates, ..
    } = &network.decided;
    assert_eq!(validator_updates.len(), 1);
}

/// The result of InitChain.
fn start(genesis: &GenesisState, extensions: u64) -> Result<(), Code> {
    let folder = tempfile::tempdir().unwrap();
    let app = App::open(folder.path(), Options::default(), Arc::new(TextScorer)).unwrap();
    let validators = [Wallet::new(30, 1), Wallet::new(31, 2)];
    let json = serde_json::to_vec(genesis).unwrap();
    match app.init_chain(CHAIN_ID, &json, &powers(&validators), extensions) {
        Ok(_) => Ok(()),
        Err(poq_app::Error::Rejected { code, .. }) => Err(code),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_genesis_with_extensions_needs_keys() {
    let mut genesis = genesis(2);
    assert_eq!(start(&genesis, 1), Ok(()));
    genesis.validators[0].vrf_key.clear();
    assert_eq!(start(&genesis, 0), Ok(()));
    assert_eq!(start(&genesis, 1), Err(code::NO_VRF_KEY));
    assert_eq!(start(&genesis, 90), Err(code::NO_VRF_KEY));
    for key in [vec![0; 32], vec![255; 32], vec![1; 31]] {
        genesis.validators[0].vrf_key = key;
        assert_eq!(start(&genesis, 0), Err(code::INVALID_VRF_KEY));
    }
}
