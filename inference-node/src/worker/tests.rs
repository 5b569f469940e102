//! The whole worker against a chain with rare faults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use poq_client::{Follower, Key};
use poq_proto::v1::{Role, TaskStatus};
use poq_worker::{Chain, Error, Health, Journal, Settings};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::compute::GuestLimits;
use crate::config::DutiesConfig;
use crate::fake_chain::crashes::{TASKS, WINDOW, die_at};
use crate::fake_chain::{CHAIN, FakeChain, PATIENCE, Point, State};
use crate::generator::Generator;
use crate::generator::testing::Parrot;

/// More words than any test needs.
const MANY: usize = 100_000;

/// A parrot that dies when the chain says so.
struct Mortal {
    parrot: Arc<Parrot>,
    chain: Arc<FakeChain>,
}

#[async_trait]
impl Generator for Mortal {
    fn context_tokens(&self) -> usize {
        self.parrot.context_tokens()
    }

    fn concurrency(&self) -> usize {
        self.parrot.concurrency()
    }

    fn recommended(&self) -> Recommended {
        self.parrot.recommended()
    }

    async fn generate(
        &self,
        request: &Request,
        stop: &CancellationToken,
        deltas: Option<mpsc::Sender<String>>,
    ) -> Result<Completion, generator::Error> {
        let completion = self.parrot.generate(request, stop, deltas).await;
        if !self.chain.reach(Point::Scored) {
            std::future::pending().await
        }
        completion
    }

    async fn lost(&self) {
        self.parrot.lost().await;
    }
}

fn key() -> Key {
    Key::from_bytes(&[7; 32]).unwrap()
}

/// A chain with `tasks` to answer within `window` blocks.
pub(super) async fn chain(tasks: u64, window: u64) -> Arc<FakeChain> {
    let mut state = State::new(&key(), window);
    for task in 1..=tasks {
        state.add(task, TaskStatus::Assigned, &format!("prompt {task}"), None);
    }
    Arc::new(FakeChain::start(state).await)
}

fn journal(folder: &Path) -> Journal<Answer> {
    Journal::open(folder.join("journal")).unwrap()
}

/// A worker with its home in `folder`.
pub(super) async fn start_with(
    chain: &Arc<FakeChain>,
    folder: &Path,
    parrot: Arc<Parrot>,
    health: &Health,
) -> JoinHandle<Result<(), Error>> {
    let client = Client::new(chain.url()).unwrap();
    let sender = Sender::new(client.clone(), key(), Some(CHAIN));
    let cursor = folder.join("cursor.json");
    let follower = Follower::open(client, cursor, CHAIN, Duration::from_millis(2));
    let generator = Mortal {
        parrot,
        chain: chain.clone(),
    };
    let guests = GuestLimits {
        queue: 1,
        deadline: PATIENCE,
    };
    let compute = Compute::new(Arc::new(generator), guests);
    let sender = Arc::new(sender.await.unwrap());
    let config = DutiesConfig::default();
    let node = InferenceNode::new(&sender, compute, config.max_tokens);
    let on_chain = Chain { sender, follower };
    let settings = Settings {
        role: Role::Inference,
        models: vec!["m".into()],
        capacity: config.queue,
        margin: config.margin_blocks,
    };
    let journal = journal(folder);
    let (node, shutdown) = (Arc::new(node), CancellationToken::new());
    let running = poq_worker::run(node, on_chain, journal, settings, health.clone(), shutdown);
    tokio::spawn(running)
}

/// A worker whose model has enough words.
pub(super) async fn start(chain: &Arc<FakeChain>, folder: &Path) -> JoinHandle<Result<(), Error>> {
    start_with(chain, folder, Parrot::new(MANY), &Health::default()).await
}

/// Runs a worker until no duty is open.
async fn run(chain: &Arc<FakeChain>, folder: &Path) {
    let worker = start(chain, folder).await;
    chain.until(State::is_over).await;
    worker.abort();
}

/// Slashes, and the number of completed tasks.
fn outcome(chain: &FakeChain) -> (Vec<String>, usize) {
    let state = chain.state();
    (state.slashes.clone(), state.done())
}

fn duty(task: u64) -> Seat {
    Seat { task, attempt: 0 }
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
    ];
    let chain = async || chain(TASKS.into(), WINDOW).await;
    die_at(&points, chain, async |chain, folder, _| {
        start(chain, folder).await.abort_handle()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_sent_again_within_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(3, 40).await;
    chain.state().lose = 3;
    run(&chain, folder.path()).await;
    assert_eq!(outcome(&chain), (vec![], 3));
    assert_eq!(chain.state().lose, 0);
    assert_eq!(chain.state().tasks[&1].answer.as_deref(), Some("prompt 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_an_earlier_process_is_handed_in_if_it_is_to_this_question() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(4, 200).await;
    chain.state().kill_at(Point::Journalled, 1);
    let worker = start(&chain, folder.path()).await;
    timeout(PATIENCE, chain.killed()).await.unwrap();
    worker.abort();
    let _ = worker.await;
    let journal = journal(folder.path());
    let entry = |text: &str, chain_id: &str, prompt: &str| Answer {
        chain_id: chain_id.into(),
        prompt_sha256: hex::encode(poq_client::TxHash::of(prompt.as_bytes()).0),
        text: text.into(),
        prompt_tokens: 1,
        answer_tokens: 1,
    };
    // Entries as the process left them; of another chain; of another prompt; damaged.
    let right = entry("from the journal", CHAIN, "prompt 1");
    journal.put(duty(1), &right).unwrap();
    let elsewhere = entry("old", "poq-local-0", "prompt 2");
    journal.put(duty(2), &elsewhere).unwrap();
    let earlier = entry("old", CHAIN, "prompt of an earlier chain");
    journal.put(duty(3), &earlier).unwrap();
    std::fs::write(folder.path().join("journal/4-0.json"), "{").unwrap();
    chain.state().revive();
    run(&chain, folder.path()).await;
    assert_eq!(outcome(&chain), (vec![], 4));
    let state = chain.state();
    let answers: Vec<String> = (1..=4)
        .filter_map(|task| state.tasks[&task].answer.clone())
        .collect();
    let expected = ["from the journal", "prompt 2", "prompt 3", "prompt 4"];
    assert_eq!(answers, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_nothing_costs_no_duty() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(1, 200).await;
    let health = Health::default();
    // Even root in a container cannot overwrite a folder.
    std::fs::create_dir_all(folder.path().join("journal/1-0.json")).unwrap();
    let worker = start_with(&chain, folder.path(), Parrot::new(MANY), &health).await;
    chain.until(State::is_over).await;
    assert_eq!(outcome(&chain), (vec![], 1));
    assert!(health.problems().contains_key("journal"));
    worker.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_when_time_is_up_is_an_answer_be_it_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(2, 40).await;
    // The first gets no word, and the second not even its turn.
    let health = Health::default();
    let worker = start_with(&chain, folder.path(), Parrot::new(0), &health).await;
    chain.until(State::is_over).await;
    worker.abort();
    assert_eq!(outcome(&chain), (vec![], 2));
    let state = chain.state();
    let mut answers: Vec<&str> = state
        .tasks
        .values()
        .filter_map(|record| record.answer.as_deref())
        .collect();
    // Either may have been the first.
    answers.sort_unstable();
    assert_eq!(answers, ["", "I cannot answer: there was no time for it."]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_model_ends_the_worker_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(1, 4000).await;
    let (parrot, health) = (Parrot::new(0), Health::default());
    let worker = start_with(&chain, folder.path(), parrot.clone(), &health).await;
    parrot.has_begun(&["prompt 1"]).await;
    assert_eq!(health.fault(), None);
    parrot.lost.cancel();
    let ended = timeout(PATIENCE, worker).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::Lost(_))));
    assert!(health.fault().unwrap().contains("lost"));
}

/// A prompt that makes the engine fail must not lead to a slash for silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_at_which_the_engine_fails_twice_gets_an_honest_word() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(1, 4000).await;
    let (parrot, health) = (Parrot::new(MANY), Health::default());
    parrot.hoarse.cancel();
    let worker = start_with(&chain, folder.path(), parrot.clone(), &health).await;
    chain.until(State::is_over).await;
    worker.abort();
    assert_eq!(outcome(&chain), (vec![], 1));
    assert_eq!(parrot.seen.lock().unwrap().len(), 2);
    let state = chain.state();
    let answer = state.tasks.values().next().unwrap().answer.clone();
    assert_eq!(
        answer.as_deref(),
        Some("I cannot answer: the language model failed.")
    );
}
