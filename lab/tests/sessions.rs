//! A short version of the attacks on sessions: it fails if one that the protocol bounds gains, and
//! shows that junk would gain if every answer earned most of its price.

use poq_lab::episode::Setting;
use poq_lab::experiments::Effort;
use poq_lab::experiments::sessions::{Cost, Grid, Row, Way, compare, costs, entries, search};
use poq_lab::sessions::{Bill, Node, Play, bill, bill_of_tasks, run};
use poq_proto::v1::{Params, SessionScoring};

const EFFORT: Effort = Effort {
    tasks: 128,
    runs: 3,
    seed: 1,
};

fn setting() -> Setting {
    Setting::new(EFFORT.tasks)
}

/// Rings are caught by rare audits, so they take more runs than a test has.
#[test]
fn no_attack_within_the_bounds_gains() {
    let mut attacks = entries(&setting(), EFFORT);
    attacks.retain(|entry| !entry.name.contains("ring"));
    let rows = compare(&attacks, EFFORT).unwrap();
    let broken = rows.iter().filter(|row| !row.keeps_promise());
    let broken: Vec<&str> = broken.map(|row| row.name.as_str()).collect();
    assert_eq!(broken, Vec::<&str>::new());
    let of = |name: &str| -> &Row { rows.iter().find(|row| row.name.contains(name)).unwrap() };
    // A false claim moves nothing to the node, and a low prompt saves its user money.
    assert_eq!(of("did not serve").advantage.mean, 0.0);
    let (low, watched) = (of("scores low"), of("stops after 8"));
    assert!(low.advantage.is_above_zero());
    assert!(low.node.mean < watched.node.mean && watched.node.mean < 0.0);
}

#[test]
fn a_high_floor_pays_for_junk() {
    let grid = Grid {
        floors: vec![100_000, 900_000],
        sample_values: vec![1_000_000, 3_000_000],
        min_samples: vec![8],
    };
    let points = search(&grid, &setting(), EFFORT).unwrap();
    // The stakes do not secure the larger sample_value.
    assert_eq!(points.len(), 4);
    for point in points {
        let is_high = point.floor_share == 900_000;
        assert_eq!(point.junk.mean > 0.0, is_high, "{point:?}");
        assert!(point.scored.mean <= 8.0 / 64.0);
    }
}

#[test]
fn equal_seeds_give_equal_results() {
    let play = Play {
        node: Node::JunkAtRandom(50),
        ..Play::honest(&setting(), 2, 20)
    };
    let outcome = run(&play, 7).unwrap();
    assert_eq!(run(&play, 7).unwrap(), outcome);
    assert_ne!(run(&play, 8).unwrap(), outcome);
}

/// Two sessions of 24 answers whose user pays gas.
fn paying_gas(scoring: SessionScoring) -> Play {
    let play = Play::honest(&setting(), 2, 24);
    Play {
        params: Params {
            gas_price: 10_000,
            ..play.params
        },
        scoring,
        ..play
    }
}

#[test]
fn a_users_payments_are_what_its_balance_lost() {
    let by_task = bill_of_tasks(&paying_gas(SessionScoring::Sampled), 5).unwrap();
    let sampled = bill(&paying_gas(SessionScoring::Sampled), 5).unwrap();
    let all = bill(&paying_gas(SessionScoring::All), 5).unwrap();
    for bill in [&by_task, &sampled, &all] {
        assert_eq!(bill.paid, bill.sum(), "{bill:?}");
        // The protocol takes 5 % of every price.
        assert_eq!((bill.answers, bill.protocol), (48, 48 * 2_350));
        assert!(bill.gas > 0);
    }
    // Eight points lie in at most eight of a session's leaves.
    assert!(sampled.scored <= 16 && (by_task.scored, all.scored) == (48, 48));
    // A committee earns 20 % of the price of what it scores, less by the distance of its scores.
    for bill in [&by_task, &sampled, &all] {
        let most = bill.scored * 9_400;
        assert!((most - most / 100..=most).contains(&bill.evaluators));
    }
    // Tiers do not change what transactions cost.
    assert_eq!(sampled.gas, all.gas);
    assert!(by_task.gas > 10 * all.gas);
}

/// Tasks and sessions of one seed have the same answers, so that where all are scored only the floor
/// tells their nodes' pay apart.
#[test]
fn tasks_and_sessions_have_the_same_answers() {
    let play = paying_gas(SessionScoring::All);
    let (by_task, all) = (bill_of_tasks(&play, 5).unwrap(), bill(&play, 5).unwrap());
    let floor = 0.1 * 0.75 * 47_000.0 * all.answers as f64;
    let expected = floor + 0.9 * by_task.node as f64;
    assert!(
        (all.node as f64 - expected).abs() < 1e-4 * expected,
        "{all:?} {by_task:?}"
    );
    let other: Bill = bill(&play, 6).unwrap();
    assert_ne!(other.node, all.node);
}

#[test]
fn a_sample_costs_less_than_a_task_each_and_all_scores_more() {
    let effort = Effort {
        tasks: 40,
        runs: 3,
        seed: 1,
    };
    let costs = costs(&setting(), effort).unwrap();
    let of = |model: &str, way: Way| -> &Cost {
        let found = costs
            .iter()
            .find(|cost| (cost.model, cost.way) == (model, way));
        found.unwrap()
    };
    for model in ["standard", "poor"] {
        let (sampled, all) = (of(model, Way::Sampled(64)), of(model, Way::All(64)));
        assert!(all.paid.mean > sampled.paid.mean);
        assert_eq!((all.scored.mean, sampled.scored.mean), (1.0, 8.0 / 64.0));
        assert!(of(model, Way::Sampled(64)).beside_task.is_below_zero());
        // Longer sessions share transactions, and a sample, among more answers.
        let long = of(model, Way::Sampled(300));
        assert!(long.gas.mean < sampled.gas.mean);
        assert!(long.evaluators.mean < sampled.evaluators.mean);
        assert_eq!(of(model, Way::Task).beside_task.mean, 0.0);
    }
}
