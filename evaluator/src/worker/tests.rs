//! The whole evaluator against a chain with rare faults.

use std::path::Path;
use std::time::Duration;

use poq_client::{Client, Follower, Key};
use poq_proto::v1::{Role, TaskStatus};
use poq_worker::{Chain, Health, Journal, Settings};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::compute::Job as Pair;
use crate::fake_chain::crashes::{TASKS, WINDOW, die_at};
use crate::fake_chain::{CHAIN, FakeChain, PATIENCE, Point, State, wait};
use crate::scorer::{Error, Score};

/// A model without weights.
pub(super) type Scorer = Box<dyn FnMut(&Pair) -> Option<i32> + Send>;

fn key() -> Key {
    Key::from_bytes(&[7; 32]).unwrap()
}

/// A chain with `tasks` to score and phases of `window` blocks.
pub(super) async fn chain(tasks: u64, window: u64) -> Arc<FakeChain> {
    let mut state = State::new(&key(), window);
    for task in 1..=tasks {
        let (prompt, answer) = (format!("prompt {task}"), format!("answer {task}"));
        state.add(task, TaskStatus::Committing, &prompt, Some(&answer));
    }
    Arc::new(FakeChain::start(state).await)
}

/// Scores that differ by `noise` from another machine's.
pub(super) fn scorer(noise: i32) -> Scorer {
    Box::new(move |job| Some(score_of(job) + noise))
}

fn score_of(job: &Pair) -> i32 {
    i32::try_from(job.answer.len()).unwrap() * 1000
}

fn line(chain: Arc<FakeChain>, mut score: Scorer) -> Line {
    let (jobs, mut queued) = mpsc::channel::<Pair>(64);
    tokio::spawn(async move {
        while let Some(job) = queued.recv().await {
            let raw_score = score(&job);
            if job.reply.is_closed() || !chain.reach(Point::Scored) {
                continue;
            }
            let score = raw_score.map(|raw_score| Score {
                raw_score,
                value: 0.0,
            });
            // The receiver may be gone.
            let _ = job
                .reply
                .send(score.ok_or_else(|| Arc::new(Error::NotANumber)));
        }
    });
    Line::new(jobs)
}

/// An evaluator with its home in `folder`.
pub(super) async fn start(
    chain: &Arc<FakeChain>,
    folder: &Path,
    score: Scorer,
    health: &Health,
) -> JoinHandle<poq_worker::Result<()>> {
    let client = Client::new(chain.url()).unwrap();
    let sender = Sender::new(client.clone(), key(), Some(CHAIN));
    let cursor = folder.join("cursor.json");
    let follower = Follower::open(client, cursor, CHAIN, Duration::from_millis(2));
    let sender = Arc::new(sender.await.unwrap());
    let models = vec!["m".to_owned()];
    let evaluator = Evaluator::new(sender.clone(), models.clone(), line(chain.clone(), score));
    let on_chain = Chain { sender, follower };
    let settings = Settings {
        role: Role::Evaluator,
        models,
        capacity: 64,
        margin: 0,
    };
    let journal = journal(folder);
    let (evaluator, shutdown) = (Arc::new(evaluator), CancellationToken::new());
    let running = poq_worker::run(
        evaluator,
        on_chain,
        journal,
        settings,
        health.clone(),
        shutdown,
    );
    tokio::spawn(running)
}

/// Runs an evaluator until no duty is open.
async fn run(chain: &Arc<FakeChain>, folder: &Path, score: Scorer) {
    let worker = start(chain, folder, score, &Health::default()).await;
    chain.until(State::is_over).await;
    worker.abort();
}

/// Runs an evaluator until its commitments are in a block, then kills it.
async fn run_until_committed(chain: &Arc<FakeChain>, folder: &Path) {
    chain.state().kill_at(Point::Committed, 1);
    let worker = start(chain, folder, scorer(0), &Health::default()).await;
    let killed = timeout(PATIENCE, chain.killed()).await;
    killed.expect("it does not commit");
    worker.abort();
    let _ = worker.await;
    chain.state().revive();
}

fn seat(task: u64) -> Seat {
    Seat { task, attempt: 0 }
}

fn journal(folder: &Path) -> Journal<Entry> {
    Journal::open(folder.join("journal")).unwrap()
}

/// Slashes, and the number of completed tasks.
fn outcome(chain: &FakeChain) -> (Vec<String>, usize) {
    let state = chain.state();
    (state.slashes.clone(), state.done())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_moment_costs_no_duty() {
    let points = [
        Point::Seen,
        Point::Scored,
        Point::Journalled,
        Point::Signed,
        Point::Sent,
        Point::Included,
        Point::Revealed,
    ];
    let chain = async || chain(TASKS.into(), WINDOW).await;
    die_at(&points, chain, async |chain, folder, noise| {
        let health = Health::default();
        let worker = start(chain, folder, scorer(noise), &health).await;
        worker.abort_handle()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_transactions_are_sent_again_within_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(3, 20).await;
    chain.state().lose = 2;
    run(&chain, folder.path(), scorer(0)).await;
    assert_eq!(outcome(&chain), (vec![], 3));
    assert_eq!(chain.state().lose, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_journal_another_machine_reveals_what_was_committed_to() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let chain = chain(3, 200).await;
    run_until_committed(&chain, first.path()).await;
    run(&chain, second.path(), scorer(37)).await;
    assert_eq!(outcome(&chain), (vec![], 3));
    // Existing entries are kept.
    let found = journal(second.path()).get(seat(1)).unwrap().unwrap();
    assert_eq!(found, journal(first.path()).get(seat(1)).unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_does_not_open_the_commitments_is_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(8, 400).await;
    run_until_committed(&chain, folder.path()).await;
    // As if a second instance had committed first, except for one; and one entry is damaged.
    let journal = journal(folder.path());
    for task in 2..=7 {
        let mut entry = journal.get(seat(task)).unwrap().unwrap();
        entry.raw_score += 11;
        journal.put(seat(task), &entry).unwrap();
    }
    std::fs::write(folder.path().join("journal/8-0.json"), "{").unwrap();
    run(&chain, folder.path(), scorer(0)).await;
    assert_eq!(outcome(&chain), (vec![], 8));
    // All seven together, then halves of them, down to those that fail alone.
    let sizes = chain.state().mostly_failing.clone();
    for size in [7, 3, 1] {
        assert!(sizes.contains(&size), "{sizes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_nothing_stops_commitments_and_no_reveals() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(2, 2000).await;
    run_until_committed(&chain, folder.path()).await;
    for task in [3, 4] {
        let (status, answer) = (TaskStatus::Committing, Some("answer"));
        chain.state().add(task, status, "prompt", answer);
        // Even root in a container cannot overwrite a folder.
        let path = folder.path().join(format!("journal/{task}-0.json"));
        std::fs::create_dir(path).unwrap();
    }
    let health = Health::default();
    let worker = start(&chain, folder.path(), scorer(0), &health).await;
    chain.until(|state| state.done() == 2).await;
    wait(|| health.problems().contains_key("journal")).await;
    let open = chain.state().duties();
    assert!(
        open.iter()
            .all(|duty| duty.phase() == TaskStatus::Committing)
    );
    assert_eq!(open.len(), 2);
    for task in [3, 4] {
        std::fs::remove_dir(folder.path().join(format!("journal/{task}-0.json"))).unwrap();
    }
    chain.until(State::is_over).await;
    assert_eq!(outcome(&chain), (vec![], 4));
    wait(|| health.problems().is_empty()).await;
    worker.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lacks_the_texts_of_a_duty_holds_no_reveal_up() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(2, 2000).await;
    run_until_committed(&chain, folder.path()).await;
    let (status, answer) = (TaskStatus::Committing, Some("answer"));
    chain.state().add(3, status, "prompt", answer);
    chain.state().lacks_texts = true;
    let worker = start(&chain, folder.path(), scorer(0), &Health::default()).await;
    chain.until(|state| state.done() == 2).await;
    chain.state().lacks_texts = false;
    chain.until(State::is_over).await;
    assert_eq!(outcome(&chain), (vec![], 3));
    worker.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_scoring_is_tried_again_and_one_that_always_fails_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(3, 60).await;
    let mut tries = 0;
    let score = Box::new(move |job: &Pair| {
        tries += i32::from(job.answer == "answer 1");
        let fails = job.answer == "answer 2" || (job.answer == "answer 1" && tries <= 2);
        match fails {
            true => None,
            false => Some(score_of(job)),
        }
    });
    run(&chain, folder.path(), score).await;
    let missed = "task 2: TASK_STATUS_COMMITTING missed".to_owned();
    assert_eq!(outcome(&chain), (vec![missed], 2));
}
