//! The cost of bursts and outages for an honest node of finite speed (protocol section 10): at most
//! the highest slash for a missed duty, once, and usually nothing.

mod support;

use std::collections::BTreeMap;

use poq_proto::v1::*;
use proptest::prelude::*;
use support::{Chain, People, STAKE, any, find, params, submit_message};

const GOOD: i32 = 4_000_000;
/// Answers and scores that a node computes per block.
const ANSWERS: usize = 1;
const SCORES: usize = 4;

/// The windows of a new chain.
fn usual() -> Params {
    let defaults = poq_app::modules::params::default_params();
    Params {
        answer_window: defaults.answer_window,
        commit_window: defaults.commit_window,
        reveal_window: defaults.reveal_window,
        ..params()
    }
}

/// A chain whose nodes have the capacity that they can work off in `blocks` blocks.
fn chain(params: Params, inference: u8, evaluators: u8, blocks: usize) -> Chain {
    let people = People::new(inference, evaluators);
    let params = Params {
        max_open_tasks: 10_000,
        ..params
    };
    let mut genesis = people.genesis(params);
    for node in &mut genesis.nodes {
        node.capacity = (speed(node.role()) * blocks) as u32;
    }
    Chain::from_genesis(&genesis, poq_app::Options::default(), people)
}

fn speed(role: Role) -> usize {
    match role {
        Role::Inference => ANSWERS,
        _ => SCORES,
    }
}

/// The next block: every running node submits what it has computed since the last one, the most
/// urgent first, and reveals all that it can.
fn work(chain: &mut Chain, asked: usize, is_up: impl Fn(&Node) -> bool) {
    let mut txs = ask(chain, asked);
    for role in [Role::Inference, Role::Evaluator] {
        for node in chain.nodes(role).into_iter().filter(|node| is_up(node)) {
            let mut by_phase: BTreeMap<i32, Vec<Duty>> = BTreeMap::new();
            for duty in chain.duties(role, &node.operator) {
                by_phase.entry(duty.phase).or_default().push(duty);
            }
            let wallets = match role {
                Role::Inference => &mut chain.inference,
                _ => &mut chain.evaluators,
            };
            let wallet = find(wallets, &node.operator);
            for mut duties in by_phase.into_values() {
                duties.sort_by_key(|duty| (duty.due_height, duty.task_id));
                if duties[0].phase() != TaskStatus::Revealing {
                    duties.truncate(speed(role));
                }
                let message = support::duty_message(wallet, &duties, "Paris.", GOOD);
                txs.push(wallet.sign(vec![message]));
            }
        }
    }
    chain.block(&txs);
}

fn ask(chain: &mut Chain, tasks: usize) -> Vec<Vec<u8>> {
    let message = any(&submit_message(&chain.user));
    (0..tasks)
        .map(|_| chain.user.sign(vec![message.clone()]))
        .collect()
}

fn all_nodes(chain: &Chain) -> Vec<Node> {
    let roles = [Role::Inference, Role::Evaluator].into_iter();
    roles.flat_map(|role| chain.nodes(role)).collect()
}

/// Twenty nodes, each of one task per block, get a thousand questions at once: no node gets more
/// than it can do or loses anything, and most questions are answered.
#[test]
fn a_burst_of_a_thousand_questions_slashes_nobody() {
    let mut chain = chain(usual(), 20, 20, 24);
    work(&mut chain, 1_000, |_| true);
    for _ in 0..150 {
        work(&mut chain, 0, |_| true);
        let nodes = all_nodes(&chain);
        assert!(
            nodes
                .iter()
                .all(|node| node.pending_duties <= node.capacity)
        );
    }
    for node in all_nodes(&chain) {
        assert_eq!(
            (node.stake, node.duties_missed, node.pending_duties),
            (STAKE, 0, 0)
        );
    }
    let tasks = chain.tasks();
    assert_eq!(tasks.len(), 1_000);
    assert!(tasks.iter().all(support::is_over));
    let finished = |task: &&Task| task.status() == TaskStatus::Final;
    let finished = tasks.iter().filter(finished).count();
    assert!(finished > 900, "{finished} questions got a quality");
    chain.assert_money_is_conserved();
}

/// All nodes of a role stop for a minute while their capacity is full.
#[test]
fn an_outage_of_a_minute_at_full_load_costs_at_most_one_slash() {
    for down in [Role::Inference, Role::Evaluator] {
        let mut chain = chain(usual(), 8, 8, 20);
        for block in 0..150 {
            let is_out = |node: &Node| node.role() == down && (60..120).contains(&block);
            let asked = if block == 50 { 300 } else { 8 };
            work(&mut chain, asked, |node| !is_out(node));
        }
        let nodes = chain.nodes(down);
        let missed: u64 = nodes.iter().map(|node| node.duties_missed).sum();
        assert!(missed > 100, "the outage met {missed} duties");
        for node in all_nodes(&chain) {
            assert!(node.stake >= STAKE / 100 * 98, "{node:?}");
        }
        chain.assert_money_is_conserved();
    }
}

/// Two evaluators have a seat in every task and stay silent. Their first misses jail them, and
/// every other task in which they sit gets another committee instead.
#[test]
fn who_is_jailed_costs_no_task_an_attempt() {
    let params = Params {
        max_committee_attempts: 1,
        jail_after_misses: 1,
        ..usual()
    };
    let mut chain = chain(params, 8, 12, 24);
    for _ in 0..4 {
        work(&mut chain, 8, |_| true);
    }
    let silent: Vec<String> = chain.nodes(Role::Evaluator)[..2]
        .iter()
        .map(|node| node.operator.clone())
        .collect();
    for _ in 0..120 {
        work(&mut chain, 0, |node| !silent.contains(&node.operator));
    }
    let excused = |task: &&Task| task.committees.iter().any(|committee| committee.excused);
    let tasks = chain.tasks();
    let again: Vec<&Task> = tasks.iter().filter(excused).collect();
    assert!(!again.is_empty());
    for task in again {
        assert_eq!(task.status(), TaskStatus::Final, "{task:?}");
    }
    for operator in &silent {
        let node = chain.node(Role::Evaluator, operator);
        assert_eq!(node.status(), NodeStatus::Jailed);
        assert!(node.duties_missed > 1);
        assert_eq!(node.stake, STAKE - STAKE / 1_000 * 15);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever users ask and whichever nodes are silent, a node loses at most the highest slash
    /// for a missed duty per window.
    #[test]
    fn a_silent_node_loses_one_slash_in_a_window(
        asked in prop::collection::vec(0usize..30, 10..60),
        silent in prop::num::u64::ANY,
    ) {
        let params = params();
        let mut chain = chain(params.clone(), 3, 7, 8);
        for (block, tasks) in asked.iter().enumerate() {
            let up = |node: &Node| silent >> ((block / 8 + node.slot as usize * 7) % 64) & 1 == 0;
            work(&mut chain, *tasks, up);
            for node in all_nodes(&chain) {
                let (slash, window) = match node.role() {
                    Role::Inference => (params.slash_no_answer, params.answer_window),
                    _ => (params.slash_no_reveal, params.commit_window + params.reveal_window),
                };
                let windows = chain.height / window + 1;
                let most = STAKE / 1_000_000 * u64::from(slash) * windows;
                prop_assert!(node.slashed <= most, "{node:?}");
            }
        }
        chain.assert_money_is_conserved();
    }
}
