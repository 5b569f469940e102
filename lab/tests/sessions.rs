//! A short version of the attacks on sessions: it fails if one that the protocol bounds gains, and
//! shows that junk would gain if every answer earned most of its price.

use poq_lab::episode::Setting;
use poq_lab::experiments::Effort;
use poq_lab::experiments::sessions::{Grid, Row, compare, entries, search};
use poq_lab::sessions::{Node, Play, run};

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
