//! What a proposal that was accepted leaves for the block that is decided.

mod support;

use support::{Chain, any, submit_message};

fn question(chain: &mut Chain) -> Vec<u8> {
    let message = any(&submit_message(&chain.user));
    chain.user.sign(vec![message])
}

/// The same chain twice, and two blocks that it can go on with.
fn two_ways() -> (Chain, Chain, [Vec<Vec<u8>>; 2]) {
    let [mut chain, twin] = [(); 2].map(|()| Chain::new(1, 5));
    let question = question(&mut chain);
    (chain, twin, [vec![question], Vec::new()])
}

#[test]
fn what_was_accepted_is_not_executed_again() {
    let (chain, _, [one, none]) = two_ways();
    chain
        .app
        .process_proposal(&chain.next(&[2; 32], &one))
        .unwrap();
    // The hash stands for the block: consensus never has two blocks with one.
    let (outcome, _) = chain
        .app
        .finalize_block(&chain.next(&[2; 32], &none))
        .unwrap();
    assert_eq!(outcome.results.len(), 1);
}

#[test]
fn a_block_is_the_same_whatever_was_accepted_before() {
    let (mut chain, mut twin, [one, other]) = two_ways();
    let results = twin.block(&one);
    // Two rounds: the later proposal is decided by the others, or the earlier one.
    for (hash, txs) in [([1; 32], &other), ([2; 32], &one), ([3; 32], &other)] {
        chain.app.process_proposal(&chain.next(&hash, txs)).unwrap();
    }
    assert_eq!(chain.block(&one), results);
    assert_eq!(chain.app_hash, twin.app_hash);
    assert_eq!(chain.events, twin.events);
}

#[test]
fn what_was_refused_is_executed_if_it_is_decided_all_the_same() {
    let (mut chain, mut twin, [one, _]) = two_ways();
    let twice = [one[0].clone(), one[0].clone()];
    let refused = chain.next(&[2; 32], &twice);
    chain.app.process_proposal(&refused).unwrap_err();
    let results = chain.block(&twice);
    assert_eq!(results[0].code, 0);
    assert_ne!(results[1].code, 0);
    assert_eq!(results, twin.block(&twice));
    assert_eq!(chain.app_hash, twin.app_hash);
}

#[test]
fn a_node_that_ends_while_it_executes_goes_on_where_it_was() {
    let (mut chain, mut twin, [one, _]) = two_ways();
    chain
        .app
        .process_proposal(&chain.next(&[2; 32], &one))
        .unwrap();
    chain.restart(std::sync::Arc::new(support::TextScorer));
    assert_eq!(chain.block(&one), twin.block(&one));
    assert_eq!(chain.app_hash, twin.app_hash);
}
