//! Deaths at every moment of a duty: whatever was on its way, nobody is slashed while windows allow.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::tests::{chain, scorer, start, until};
use super::*;
use crate::fake_chain::{Point, State, crash_runs};

/// Blocks of a phase: more than a death costs.
const WINDOW: u64 = 60;
const TASKS: u32 = 4;

/// A life, a death, and a life that ends when nothing is left to do, with one home.
async fn die_at(point: Point, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(TASKS.into(), WINDOW).await;
    let nth = match point {
        Point::Seen | Point::Scored => random.gen_range(1..=TASKS),
        // Once in the life of a process that loses nothing.
        Point::Journalled | Point::Committed | Point::Revealed => 1,
        Point::Signed | Point::Sent | Point::Included => random.gen_range(1..=2),
    };
    chain.state().lose = random.gen_range(0..2);
    chain.state().kill_at(point, nth);
    let first = start(&chain, folder.path(), scorer(0), &Health::default()).await;
    tokio::select! {
        () = chain.killed() => {}
        // The moment may not have come before all is done.
        () = until(&chain, State::is_over) => {}
    }
    first.abort();
    let _ = first.await;
    for _ in 0..random.gen_range(0..5) {
        chain.state().block();
    }
    // A machine may be lost with its disk.
    if random.gen_bool(0.25) {
        std::fs::remove_dir_all(folder.path().join("journal")).unwrap();
    }
    chain.state().revive();
    let score = scorer(random.gen_range(-50..=50));
    let second = start(&chain, folder.path(), score, &Health::default()).await;
    until(&chain, State::is_over).await;
    second.abort();
    let state = chain.state();
    let outcome = (state.slashes.clone(), state.done());
    let expected = (vec![], TASKS as usize);
    assert_eq!(outcome, expected, "killed at {point:?}, seed {seed}");
}

async fn die_often_at(point: Point) {
    for seed in 0..crash_runs() {
        die_at(point, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_duty_is_seen() {
    die_often_at(Point::Seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_pair_is_scored() {
    die_often_at(Point::Scored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_score_is_journalled() {
    die_often_at(Point::Journalled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_transaction_is_signed() {
    die_often_at(Point::Signed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_transaction_is_sent() {
    die_often_at(Point::Sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_transaction_is_included() {
    die_often_at(Point::Included).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_score_is_revealed() {
    die_often_at(Point::Revealed).await;
}
