//! The loop, with a worker that repeats its prompts.

use std::path::Path;

use poq_client::{Any, Key as SigningKey, any};
use poq_proto::v1::{AnswerItem, MsgSubmitAnswers, TaskStatus};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::fake_chain::crashes::{TASKS, WINDOW, die_at};
use crate::fake_chain::{CHAIN, FakeChain, PATIENCE, Point, State, wait};
use crate::{Seat, Step};

/// Repeats prompts.
struct Echo {
    sender: Arc<Sender>,
    chain: Arc<FakeChain>,
    lost: CancellationToken,
}

impl Worker for Echo {
    type Product = String;

    async fn perform(&self, job: Job<String>) -> std::result::Result<String, Undone> {
        if let Some(kept) = job.kept {
            return Ok(kept);
        }
        let payload = self.sender.client().payload(job.key.seat.task).await?;
        assert_ne!(payload.prompt, "panic");
        if payload.prompt == "fail" {
            return Err(Undone::Failed("no".into()));
        }
        match self.chain.reach(Point::Scored) {
            true => Ok(payload.prompt),
            false => std::future::pending().await,
        }
    }

    fn message(&self, _: Step, answers: &[(Seat, &String)]) -> Any {
        let item = |(seat, answer): &(Seat, &String)| AnswerItem {
            task_id: seat.task,
            answer: (*answer).clone(),
            ..AnswerItem::default()
        };
        any(&MsgSubmitAnswers {
            operator: self.sender.address().into(),
            items: answers.iter().map(item).collect(),
        })
    }

    async fn lost(&self) -> String {
        self.lost.cancelled().await;
        "its voice is gone".into()
    }
}

/// A running worker, and a token that makes it fail.
struct Started {
    running: JoinHandle<Result<()>>,
    lost: CancellationToken,
    health: Health,
}

async fn start(chain: &Arc<FakeChain>, folder: &Path) -> Started {
    let client = Client::new(chain.url()).unwrap();
    let sender = Sender::new(client.clone(), key(), Some(CHAIN)).await;
    let sender = Arc::new(sender.unwrap());
    let cursor = folder.join("cursor.json");
    let follower = Follower::open(client, cursor, CHAIN, Duration::from_millis(2));
    let (lost, health) = (CancellationToken::new(), Health::default());
    let echo = Echo {
        sender: sender.clone(),
        chain: chain.clone(),
        lost: lost.clone(),
    };
    let on_chain = Chain { sender, follower };
    let settings = Settings {
        role: Role::Inference,
        models: vec!["m".into()],
        capacity: 2,
        margin: 3,
    };
    let journal = Journal::open(folder.join("journal")).unwrap();
    let shutdown = CancellationToken::new();
    let running = run(
        Arc::new(echo),
        on_chain,
        journal,
        settings,
        health.clone(),
        shutdown,
    );
    Started {
        running: tokio::spawn(running),
        lost,
        health,
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32]).unwrap()
}

/// A chain whose tasks have these prompts.
async fn chain(prompts: &[&str], window: u64) -> Arc<FakeChain> {
    let mut state = State::new(&key(), window);
    for (id, prompt) in (1..).zip(prompts) {
        state.add(id, TaskStatus::Assigned, prompt, None);
    }
    Arc::new(FakeChain::start(state).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_moment_costs_no_duty() {
    let prompts: Vec<String> = (1..=TASKS).map(|task| format!("prompt {task}")).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let points = [
        Point::Seen,
        Point::Scored,
        Point::Journalled,
        Point::Signed,
        Point::Sent,
        Point::Included,
    ];
    let chain = async || chain(&prompts, WINDOW).await;
    die_at(&points, chain, async |chain, folder, _| {
        start(chain, folder).await.running.abort_handle()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_journal_has_goes_together_within_the_limits_of_today() {
    for (most, expected) in [(1, 1), (500, 6)] {
        let folder = tempfile::tempdir().unwrap();
        let chain = chain(&[], 400).await;
        let journal = Journal::open(folder.path().join("journal")).unwrap();
        for task in 1..=6 {
            let seat = Seat { task, attempt: 0 };
            journal.put(seat, &"kept".to_owned()).unwrap();
        }
        let worker = start(&chain, folder.path()).await;
        // The authority changes the limits while the worker runs.
        chain.state().params.max_batch_items = most;
        let height = chain.state().height;
        chain.until(|state| state.height > height + 40).await;
        for task in 1..=6 {
            chain.state().add(task, TaskStatus::Assigned, "asked", None);
        }
        chain.until(State::is_over).await;
        let largest = chain.state().sent.iter().copied().max();
        assert_eq!(largest, Some(expected));
        let answers = chain.state();
        assert!((1..=6).all(|task| answers.tasks[&task].answer.as_deref() == Some("kept")));
        worker.running.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_always_fails_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let chain = chain(&["fail", "a", "b", "c"], 400).await;
    let worker = start(&chain, folder.path()).await;
    chain.until(|state| state.done() == 3).await;
    assert!(worker.health.problems().is_empty());
    worker.running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_model_and_a_panic_end_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let worker = start(&chain(&["a"], 400).await, folder.path()).await;
    wait(|| worker.health.problems().is_empty()).await;
    worker.lost.cancel();
    let ended = timeout(PATIENCE, worker.running).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::Lost(_))));
    assert!(worker.health.fault().unwrap().contains("voice"));

    // The first worker may have journalled the answer of its task.
    let folder = tempfile::tempdir().unwrap();
    let worker = start(&chain(&["panic"], 400).await, folder.path()).await;
    let ended = timeout(PATIENCE, worker.running).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::Panic(_))));
}
