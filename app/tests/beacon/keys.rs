//! Changed, missing and wrong VRF keys.

use poq_app::Error;
use poq_app::modules::beacon::{OwnValidator, Secrets};
use poq_proto::code;
use poq_proto::v1::*;

use crate::network::{Network, ROOM, next_secret, outputs, secret};
use crate::support::any;

fn set_key(network: &mut Network, validator: usize, key: Vec<u8>) -> u32 {
    let message = any(&MsgSetVrfKey {
        operator: network.nodes[validator].wallet.address.clone(),
        vrf_key: key,
    });
    let tx = network.nodes[validator].wallet.sign(vec![message]);
    network.block(&[tx])[0].code
}

#[test]
fn malformed_keys_are_refused() {
    let mut network = Network::new(&[10; 4], 1);
    network.block(&[]);
    for key in [
        Vec::new(),
        vec![1; 31],
        vec![1; 33],
        vec![0; 32],
        vec![255; 32],
    ] {
        assert_eq!(set_key(&mut network, 0, key), code::INVALID_VRF_KEY.number);
    }
    let message = any(&MsgSetVrfKey {
        operator: network.user.address.clone(),
        vrf_key: secret(0).public_key().to_vec(),
    });
    let tx = network.user.sign(vec![message]);
    assert_eq!(network.block(&[tx])[0].code, code::NOT_REGISTERED.number);
}

/// The node has both secrets and uses the one that is due: it misses no vote.
#[test]
fn a_key_changes_ten_blocks_later() {
    let mut network = Network::new(&[10; 4], 1);
    network.blocks(2);
    let next = next_secret(2).public_key().to_vec();
    assert_eq!(set_key(&mut network, 2, next.clone()), 0);
    let effective = network.height + 10;
    assert_eq!(network.registered(2).next_vrf_key_height, effective as u64);
    assert_eq!(set_key(&mut network, 2, next), code::VRF_KEY_PENDING.number);
    let everybody = network.everybody();
    while network.height < effective + 2 {
        let input = poq_app::modules::beacon::Input {
            chain_id: crate::support::CHAIN_ID,
            height: network.height as u64 + 1,
            previous: network.beacon().beacon.try_into().unwrap(),
            validator: &network.address(2),
        };
        let due = match network.height + 1 < effective {
            true => secret(2),
            false => next_secret(2),
        };
        assert_eq!(network.extend(2), due.extension(&input)[..]);
        network.block(&[]);
        let carried = outputs(&network.propose(0, &[], &everybody, ROOM));
        assert_eq!(carried.outputs.len(), 4);
    }
    // The next change replaces this key.
    assert_eq!(set_key(&mut network, 2, secret(2).public_key().to_vec()), 0);
    let found = network.registered(2);
    assert_eq!(found.vrf_key, next_secret(2).public_key());
    assert_eq!(found.next_vrf_key, secret(2).public_key());
}

/// A validator that cannot compute its output harms only itself: the others continue without it,
/// even if its vote is in their commits, where CometBFT includes late votes unverified. It earns
/// nothing.
#[test]
fn a_validator_with_a_wrong_key_is_left_out() {
    let mut network = Network::new(&[10; 4], 1);
    network.blocks(2);
    let key = secret(40).public_key().to_vec();
    assert_eq!(set_key(&mut network, 3, key), 0);
    network.blocks(8);
    let everybody = network.everybody();
    let mut earned = Vec::new();
    for _ in 0..6 {
        // A fee to share.
        let message = crate::support::send(&network.user, &network.nodes[0].wallet.address, 1);
        let tx = network.user.sign(vec![message]);
        let proposer = network.height as usize % 4;
        let proposal = network.propose(proposer, &[tx], &everybody, ROOM);
        for node in &everybody {
            assert!(network.accepts(*node, &proposal, &everybody));
        }
        network.vote();
        network.decide(&proposal, &everybody);
        earned.push(network.registered(3).earned);
    }
    assert_eq!(network.extend(3), "");
    assert!(!network.verifies(0, 3, &network.extend(3)));
    let carried = outputs(&network.propose(3, &[], &everybody, ROOM));
    assert_eq!(carried.outputs.len(), 3);
    assert_eq!(earned[3..], [earned[3]; 3]);
    let others = network.registered(0).earned;
    assert!(others > earned[5], "{others} {earned:?}");
}

/// A node detects at its start that its votes cannot count.
#[test]
fn a_node_knows_that_it_lacks_its_validators_secret() {
    let mut network = Network::new(&[10; 4], 1);
    network.blocks(2);
    let check = |network: &Network, address: Vec<u8>, secrets| {
        let secrets = Secrets::new(secrets);
        let own = OwnValidator { address, secrets };
        network.nodes[0].app.check_votes(&own)
    };
    let one = network.address(1);
    assert!(check(&network, one.clone(), vec![secret(7), secret(1)]).is_ok());
    for secrets in [Vec::new(), vec![secret(7)]] {
        match check(&network, one.clone(), secrets) {
            Err(Error::Rejected { code, log }) => {
                assert_eq!(code, code::NO_VRF_KEY);
                assert!(log.contains(&hex::encode(secret(1).public_key())), "{log}");
            }
            other => panic!("{other:?}"),
        }
    }
    // The secret of the next key suffices.
    let next = secret(7).public_key().to_vec();
    assert_eq!(set_key(&mut network, 1, next), 0);
    assert!(check(&network, one.clone(), vec![secret(7)]).is_ok());
    // A node without a validator needs no secret, and no node needs one before extensions begin.
    assert!(check(&network, vec![9; 20], Vec::new()).is_ok());
    let mut plain = Network::new(&[10; 4], 0);
    plain.block(&[]);
    assert!(check(&plain, one, Vec::new()).is_ok());
}
