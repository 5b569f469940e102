//! Jailing and unjailing.

use poq_proto::v1::*;
use poq_proto::{code, event};

use crate::nodes::{add_stake, unjail};
use crate::support::{Chain, STAKE, any, params, submit_message};
use crate::{GOOD, check, inference, run};

#[test]
fn missing_within_a_window_ends_in_jail() {
    let params = Params {
        jail_after_misses: 2,
        jail_window: 6,
        max_inference_attempts: 1,
        ..params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let wallet = chain.inference[0].address.clone();
    let node = |chain: &Chain| chain.node(Role::Inference, &wallet);
    // A window later a miss counts again; added stake makes up for the slashes.
    let message = add_stake(&chain.inference[0], Role::Inference, STAKE);
    run(&mut chain, inference, message);
    chain.submit();
    chain.blocks(4);
    assert_eq!(node(&chain).missed_in_window, 1);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &[]);
    chain.blocks(2);
    let before = node(&chain);
    assert_eq!(before.missed_in_window, 1);

    chain.submit();
    chain.submit();
    chain.blocks(4);
    let jailed = node(&chain);
    assert_eq!(jailed.status(), NodeStatus::Jailed);
    assert_eq!(jailed.missed_in_window, 2);
    // Both were missed in one outage, which costs one slash.
    assert_eq!(jailed.slashed - before.slashed, before.stake / 100);
    assert_eq!(jailed.jailed_until, chain.height + 6);
    let told = chain
        .events
        .iter()
        .find(|found| found.r#type == event::NODE_JAILED);
    assert!(told.is_some(), "{:?}", chain.events);
    let submit = any(&submit_message(&chain.user));
    assert_eq!(check(&chain, &chain.user, submit), code::NO_NODES);
    let message = unjail(&chain.inference[0], Role::Inference);
    assert_eq!(
        check(&chain, &chain.inference[0], message.clone()),
        code::JAIL_NOT_OVER
    );
    chain.blocks(5);
    run(&mut chain, inference, message);
    let free = node(&chain);
    assert_eq!((free.status(), free.jailed_until), (NodeStatus::Active, 0));
    assert_eq!(chain.height, jailed.jailed_until);
    chain.submit();
    chain.assert_money_is_conserved();
}

#[test]
fn a_poor_node_comes_out_of_jail_once_it_has_the_minimum() {
    let params = Params {
        jail_after_misses: 1,
        jail_window: 1,
        max_inference_attempts: 1,
        ..params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    chain.submit();
    chain.blocks(6);
    let message = unjail(&chain.inference[0], Role::Inference);
    assert_eq!(
        check(&chain, &chain.inference[0], message.clone()),
        code::STAKE_TOO_LOW
    );
    let more = add_stake(&chain.inference[0], Role::Inference, STAKE / 100);
    let tx = chain.inference[0].sign(vec![more, message]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    let node = chain.node(Role::Inference, &chain.inference[0].address);
    assert_eq!((node.stake, node.status()), (STAKE, NodeStatus::Active));
}

#[test]
fn stake_makes_an_understaked_node_active_again() {
    let mut chain = Chain::new(1, 5);
    chain.submit();
    chain.blocks(4);
    let wallet = chain.inference[0].address.clone();
    let status = |chain: &Chain| chain.node(Role::Inference, &wallet).status();
    assert_eq!(status(&chain), NodeStatus::Understaked);
    let message = add_stake(&chain.inference[0], Role::Inference, STAKE / 100);
    run(&mut chain, inference, message);
    assert_eq!(status(&chain), NodeStatus::Active);
    chain.submit();
}
