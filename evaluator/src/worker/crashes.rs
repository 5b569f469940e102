//! Deaths at every moment of a duty: whatever was on its way, nobody is slashed while windows allow.

use super::Health;
use super::tests::{chain, scorer, start};
use crate::fake_chain::Point;
use crate::fake_chain::crashes::{TASKS, WINDOW, crash_runs, die_at};

async fn die_often_at(point: Point) {
    for seed in 0..crash_runs() {
        let chain = chain(TASKS.into(), WINDOW).await;
        die_at(point, seed, &chain, async |folder, noise| {
            let worker = start(&chain, folder, scorer(noise), &Health::default()).await;
            worker.abort_handle()
        })
        .await;
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
