//! Deaths at every moment of a duty: whatever was on its way, nobody is slashed while windows allow.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::tests::{chain, start, until};
use crate::fake_chain::{Point, State, crash_runs};

/// Blocks in which to answer: more than a death costs.
const WINDOW: u64 = 60;
const TASKS: u32 = 4;

/// A life, a death, and a life that ends when nothing is left to do, with one home.
async fn die_at(point: Point, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(TASKS.into(), WINDOW).await;
    let nth = match point {
        Point::Journalled => 1,
        Point::Seen | Point::Scored => random.gen_range(1..=TASKS),
        _ => random.gen_range(1..=2),
    };
    chain.state().lose = random.gen_range(0..2);
    chain.state().kill_at(point, nth);
    let first = start(&chain, folder.path()).await;
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
    let second = start(&chain, folder.path()).await;
    until(&chain, State::is_over).await;
    second.abort();
    let state = chain.state();
    let outcome = (state.slashes.clone(), state.done());
    let expected = (vec![], TASKS as usize);
    assert_eq!(outcome, expected, "killed at {point:?}, seed {seed}");
    for task in 1..=TASKS.into() {
        assert_eq!(
            state.tasks[&task].answer.clone().unwrap(),
            format!("prompt {task}")
        );
    }
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
async fn killed_when_an_answer_is_generated() {
    die_often_at(Point::Scored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_an_answer_is_journalled() {
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
