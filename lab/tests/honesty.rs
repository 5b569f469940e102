//! A short version of the laboratory: it fails if a strategy that the protocol bounds is better
//! than honesty, and shows that it would fail if the chain did not audit.

use poq_app::modules::params::max_price;
use poq_lab::episode::Episode;
use poq_lab::episode::Setting;
use poq_lab::experiments::zoo::{Entry, Row, compare, entries};
use poq_lab::experiments::{Case, Effort, run_all};

const EFFORT: Effort = Effort {
    tasks: 200,
    runs: 4,
    seed: 1,
};

/// Tasks at the highest price that the stakes secure; a third of them is audited.
fn dear() -> Setting {
    let setting = Setting::new(EFFORT.tasks);
    let factor = max_price(&setting.params) / setting.world.price();
    Setting {
        world: setting.world.dearer(factor),
        ..setting
    }
}

/// The zoo without users, and without strategies that the protocol promises nothing about.
fn bounded() -> Vec<Entry> {
    let all = entries(5).into_iter();
    all.filter(|entry| entry.promise.covers(true) && !entry.is_by_users())
        .collect()
}

fn names(rows: &[Row], choose: fn(&Row) -> bool) -> Vec<&str> {
    let chosen = rows.iter().filter(|row| choose(row));
    chosen.map(|row| row.name.as_str()).collect()
}

#[test]
fn no_strategy_within_the_bounds_beats_honesty() {
    let rows = compare(&[dear()], &bounded(), EFFORT).unwrap();
    let broken = names(&rows, |row| !row.keeps_promise());
    assert_eq!(broken, Vec::<&str>::new());
    // And it is not luck.
    let broken = names(&rows, |row| !row.keeps_promise());
    assert_eq!(broken, Vec::<&str>::new());
}

/// No user gains by its limits or cancellations. Effects on reputations depend on a few draws, so
/// they take more runs.
fn no_user_gains(setting: Setting) {
    let mut users = entries(5);
    users.retain(|entry| entry.promise.covers(true) && entry.is_by_users());
    assert_eq!(users.len(), 10);
    let effort = Effort { runs: 8, ..EFFORT };
    let rows = compare(&[setting], &users, effort).unwrap();
    let broken = names(&rows, |row| !row.keeps_promise());
    assert_eq!(broken, Vec::<&str>::new());
}

#[test]
fn no_user_within_the_bounds_gains_at_the_usual_price() {
    no_user_gains(Setting::new(EFFORT.tasks));
}

#[test]
fn no_user_within_the_bounds_gains_at_the_highest_price() {
    no_user_gains(dear());
}

/// The control: without audits, the same check finds the rings.
#[test]
fn without_audits_the_same_check_fails() {
    let setting = Setting {
        audits: false,
        ..dear()
    };
    let rings: Vec<Entry> = bounded()
        .into_iter()
        .filter(|entry| entry.name.starts_with("ring of 12"))
        .collect();
    assert_eq!(rings.len(), 2);
    let rows = compare(&[setting], &rings, EFFORT).unwrap();
    assert_eq!(names(&rows, Row::pays).len(), 2);
}

/// A weakened parameter is found too: with a tolerance as wide as the scale, guesses pay without
/// audits.
#[test]
fn with_a_tolerance_as_wide_as_the_scale_guessing_pays() {
    let mut setting = Setting::new(EFFORT.tasks);
    setting.audits = false;
    let guess: Vec<Entry> = bounded()
        .into_iter()
        .filter(|entry| entry.name == "prior mean")
        .collect();
    let strict = compare(&[setting.clone()], &guess, EFFORT).unwrap();
    assert_eq!(names(&strict, Row::pays), Vec::<&str>::new());
    setting.params.score_tolerance = 1_000_000;
    let wide = compare(&[setting], &guess, EFFORT).unwrap();
    assert_eq!(names(&wide, Row::pays), ["prior mean"]);
}

#[test]
fn equal_seeds_give_equal_results_and_others_do_not() {
    let case = Case {
        setting: Setting::new(30),
        cast: entries(5).swap_remove(0).lying,
    };
    let run = |seed| {
        let effort = Effort {
            tasks: 30,
            runs: 1,
            seed,
        };
        let episodes: Vec<Vec<Episode>> = run_all(std::slice::from_ref(&case), effort).unwrap();
        serde_json::to_string(&episodes).unwrap()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
