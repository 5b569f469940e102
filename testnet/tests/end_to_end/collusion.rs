//! Five evaluators of a committee collude with the inference node: they agree on the best quality for
//! junk, and only the validators' reference evaluator disagrees.

mod session;

use futures::future::try_join_all;
use poq_client::{Any, Client, Fee, Sender, any};
use poq_proto::v1::{
    AnswerItem, AuditCause, AuditResult, CommitItem, MsgChallenge, MsgCommitScores,
    MsgRevealScores, MsgSubmitAnswers, NodeStatus, ReferenceScore, RevealItem, Role, Task,
    TaskStatus,
};
use poq_testnet::Spec;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::fixture::{Fixture, PATIENCE, PROMPTS, send, short};

/// Validators, inference nodes and evaluators.
const SIZE: [usize; 3] = [2, 1, 5];
const JUNK: &str = "asdf qwer zxcv uiop hjkl asdf qwer";
/// Ten logits, which both judges calibrate to a quality of 1,000,000.
const LIE: i32 = 10_000_000;
/// Upper bound of the quality of junk, far below every floor.
const WORTHLESS: u32 = 10_000;
const SALT: [u8; 32] = [7; 32];
const DEPOSIT: u64 = 1_000_000;
/// Stake of each evaluator, of which an audit slashes a tenth.
const STAKE: u64 = 2_000_000_000;
const SLASH: u64 = STAKE / 10;

#[tokio::test]
async fn one_challenger_undoes_what_a_whole_committee_agreed_on() {
    let scene = Scene::start("collusion-challenged", 0).await;
    let challenger = scene.fixture.network.description().authority.clone();
    let challenger = scene.fixture.network.sender(&challenger).await.unwrap();
    let before = scene.balance(challenger.address()).await;
    let asked = scene.balance(scene.user.address()).await;

    let task = scene.collude().await;
    assert_eq!(task.status(), TaskStatus::Settled);
    let settled = task.settlement.unwrap();
    assert_eq!(settled.quality, 1_000_000);
    assert!(settled.inference.unwrap().amount > 0);
    let challenge = any(&MsgChallenge {
        challenger: challenger.address().into(),
        task_id: task.id,
        deposit: DEPOSIT,
    });
    send(&challenger, challenge, Fee::Auto).await;

    let (task, result) = scene.corrected(task.id).await;
    let audit = task.audit.unwrap();
    assert_eq!(audit.cause(), AuditCause::Challenged);
    assert_eq!(audit.challenger, challenger.address());
    let half = 5 * SLASH / 2;
    assert_eq!((result.reward, result.burnt), (half, half));
    // The reward exceeds the fee of the challenge, and the deposit is back.
    let after = scene.balance(challenger.address()).await;
    let reward = u128::from(half);
    let costs = before + reward - after;
    assert!((1..DEPOSIT.into()).contains(&costs), "{costs}");
    // The user paid the protocol and for the submission.
    let user = scene.balance(scene.user.address()).await;
    let protocol = u128::from(task.settlement.unwrap().protocol);
    let costs = asked - user - protocol;
    assert!((1..DEPOSIT.into()).contains(&costs), "{costs}");
    scene.end(result.height).await;
}

#[tokio::test]
async fn the_lottery_finds_what_nobody_challenges() {
    let scene = Scene::start("collusion-drawn", 1_000_000).await;
    let task = scene.collude().await;
    let (task, result) = scene.corrected(task.id).await;
    let (audit, settlement) = (task.audit.unwrap(), task.settlement.unwrap());
    assert_eq!(audit.cause(), AuditCause::Drawn);
    assert_eq!(settlement.audit_probability, 1_000_000);
    assert_eq!(audit.height, settlement.height + 1);
    // A drawn audit pays no reward.
    assert_eq!((result.reward, result.burnt), (0, 5 * SLASH));
    scene.end(result.height).await;
}

/// Changes how often tasks are audited, ppm, and how long they wait for it.
fn audits(rate: u32) -> impl FnOnce(&mut Spec) {
    move |spec| {
        let params = &mut spec.genesis["params"];
        params["min_audit_rate"] = json!(rate);
        params["audit_window"] = json!("40");
    }
}

/// Running validators, and the keys of all other accounts.
struct Scene {
    fixture: Fixture,
    client: Client,
    user: Sender,
    inference: Sender,
    evaluators: Vec<Sender>,
}

impl Scene {
    async fn start(name: &str, audit_rate: u32) -> Self {
        Self::begin(Fixture::create(name, SIZE, audits(audit_rate)).await).await
    }

    /// A network with sessions, without drawn audits.
    async fn with_sessions(name: &str) -> Self {
        Self::begin(Fixture::with_sessions_and(name, SIZE, audits(0)).await).await
    }

    /// Starts the validators alone.
    async fn begin(mut fixture: Fixture) -> Self {
        fixture.network.start("node1").unwrap();
        fixture.network.start("node2").unwrap();
        fixture
            .network
            .wait_healthy(PATIENCE, |_, _| {})
            .await
            .unwrap();
        let description = fixture.network.description();
        let network = &fixture.network;
        let evaluators = description.evaluators.iter();
        let evaluators = evaluators.map(|worker| network.sender(&worker.account));
        let inference = network.sender(&description.inference_nodes[0].account);
        Self {
            client: fixture.client(),
            user: fixture.user().await,
            inference: inference.await.unwrap(),
            evaluators: try_join_all(evaluators).await.unwrap(),
            fixture,
        }
    }

    /// Asks a question whose answer is junk with a perfect score from all five evaluators.
    async fn collude(&self) -> Task {
        let asked = short(PROMPTS[0]).submit(&self.user).await.unwrap();
        let id = asked.task;
        self.wait_for(id, TaskStatus::Assigned).await;
        let answer = MsgSubmitAnswers {
            operator: self.inference.address().into(),
            items: vec![AnswerItem {
                task_id: id,
                answer: JUNK.into(),
                ..AnswerItem::default()
            }],
        };
        send(&self.inference, any(&answer), Fee::Free).await;
        self.lie(id).await
    }

    /// Has all five evaluators give a perfect score to the answer of a task.
    async fn lie(&self, id: u64) -> Task {
        self.wait_for(id, TaskStatus::Committing).await;
        for evaluator in &self.evaluators {
            send(evaluator, commitment(evaluator, id), Fee::Free).await;
        }
        self.wait_for(id, TaskStatus::Revealing).await;
        for evaluator in &self.evaluators {
            send(evaluator, reveal(evaluator, id), Fee::Free).await;
        }
        self.wait_for(id, TaskStatus::Settled).await
    }

    /// Returns the paid task and its audit, after checking that the quality is the true one, that no liar
    /// earns anything, and that each lost a tenth of its stake.
    async fn corrected(&self, id: u64) -> (Task, AuditResult) {
        let task = self.wait_for(id, TaskStatus::Final).await;
        let result = task.audit.clone().unwrap().result.unwrap();
        let settlement = task.settlement.clone().unwrap();
        assert_eq!(result.settled_quality, 1_000_000);
        assert!(settlement.quality < WORTHLESS, "{}", settlement.quality);
        // One score for each evaluator model with a seat.
        assert!((1..=2).contains(&result.scores.len()), "{result:?}");
        let worthless =
            |score: &ReferenceScore| score.raw_score < -6_000_000 && score.quality < WORTHLESS;
        assert!(result.scores.iter().all(worthless), "{result:?}");
        assert_eq!(settlement.inference.unwrap().amount, 0);
        assert!(
            settlement
                .evaluators
                .iter()
                .all(|payout| payout.amount == 0)
        );
        assert_eq!(settlement.refund, task.escrow - settlement.protocol);
        assert_eq!(result.penalties.len(), 5);
        for evaluator in &self.evaluators {
            let operator = evaluator.address();
            let node = self.client.node(Role::Evaluator, operator).await.unwrap();
            assert_eq!((node.slashed, node.stake), (SLASH, STAKE - SLASH));
            assert_eq!(node.status(), NodeStatus::Jailed);
            assert_eq!((node.earned, node.open_duties), (0, 0));
        }
        (task, result)
    }

    async fn wait_for(&self, id: u64, status: TaskStatus) -> Task {
        let started = Instant::now();
        loop {
            let task = self.client.task(id).await.unwrap();
            // A task is settled for a few blocks only; a late query sees the next status.
            if task.status() as i32 >= status as i32 {
                return task;
            }
            assert!(started.elapsed() < PATIENCE, "{task:?} is not {status:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn balance(&self, address: &str) -> u128 {
        let denom = &self.fixture.network.description().denom;
        self.client.balance(address, denom).await.unwrap()
    }

    /// Stops the network after checking that both validators have the same state.
    async fn end(mut self, height: u64) {
        self.fixture.assert_equal_hashes(height).await;
        self.fixture.shut_down().await;
    }
}

fn commitment(evaluator: &Sender, task_id: u64) -> Any {
    let address = evaluator.address_bytes();
    let chain_id = evaluator.chain_id();
    let commitment = poq_proto::commitment(chain_id, task_id, 0, &address, LIE, &SALT);
    any(&MsgCommitScores {
        operator: evaluator.address().into(),
        items: vec![CommitItem {
            task_id,
            commitment: commitment.to_vec(),
        }],
    })
}

fn reveal(evaluator: &Sender, task_id: u64) -> Any {
    any(&MsgRevealScores {
        operator: evaluator.address().into(),
        items: vec![RevealItem {
            task_id,
            raw_score: LIE,
            salt: SALT.to_vec(),
        }],
    })
}
