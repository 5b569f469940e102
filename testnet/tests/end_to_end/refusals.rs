//! Transactions that a node must refuse, and their codes through the real RPC. The test does the workers'
//! duties itself, so that it can do them wrongly.

use std::time::Duration;

use poq_client::tx::{self, Signer, Unsigned};
use poq_client::{Any, Client, Error, Fee, Key, Mnemonic, Sender, any};
use poq_proto::code::{self, Code};
use poq_proto::commitment;
use poq_proto::v1::{
    AnswerItem, CommitItem, Model, MsgCommitScores, MsgRegisterEvaluator, MsgRevealScores,
    MsgSubmitAnswers, MsgSubmitTask, RevealItem, Role, TaskStatus,
};
use poq_testnet::{Spec, Worker};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::fixture::{Fixture, PATIENCE, short};

/// Gas limit of every hand-made transaction, more than any of them needs.
const GAS: u64 = 1_000_000;
const SALT: [u8; 32] = [7; 32];
const SCORE: i32 = 4_200_000;

#[tokio::test]
async fn bad_transactions_get_their_codes() {
    let late = |spec: &mut Spec| spec.genesis["params"]["commit_window"] = json!("12");
    let mut fixture = Fixture::create("refusals", [1, 1, 3], late).await;
    fixture.network.start("node1").unwrap();
    fixture
        .network
        .wait_healthy(PATIENCE, |_, _| {})
        .await
        .unwrap();
    let scene = Scene::new(&fixture).await;
    scene.transactions().await;
    scene.requests().await;
    scene.duties().await;
    fixture.shut_down().await;
}

struct Scene {
    client: Client,
    user: Sender,
    user_key: Key,
    model: Model,
    inference: Sender,
    evaluators: Vec<Sender>,
}

impl Scene {
    async fn new(fixture: &Fixture) -> Self {
        let description = fixture.network.description();
        let sender = async |worker: &Worker| fixture.network.sender(&worker.account).await.unwrap();
        let mut evaluators = Vec::new();
        for worker in &description.evaluators {
            evaluators.push(sender(worker).await);
        }
        let client = fixture.client();
        Self {
            model: client.models("", 1).await.unwrap().remove(0),
            user: fixture.user().await,
            user_key: fixture.network.key(&description.user).unwrap(),
            inference: sender(&description.inference_nodes[0]).await,
            evaluators,
            client,
        }
    }

    /// Errors of the transaction itself.
    async fn transactions(&self) {
        let send = |amount: u128| self.send_message(self.user.address(), amount);
        let account = self.client.account(self.user.address()).await.unwrap();
        let right = Signer {
            chain_id: self.user.chain_id().into(),
            account_number: account.account_number,
            sequence: account.sequence,
        };
        let signed = |message: Any, signer: &Signer, key: &Key| {
            tx::sign(&self.unsigned(message), signer, key).unwrap()
        };
        let good = signed(send(1), &right, &self.user_key);

        self.refused(b"garbage".to_vec(), code::TX_DECODE).await;
        let mut padded = good.clone();
        padded.extend([0xfa, 0x01, 0x00]);
        self.refused(padded, code::TX_DECODE).await;
        let other_chain = Signer {
            chain_id: "poq-other-1".into(),
            ..right.clone()
        };
        self.refused(
            signed(send(1), &other_chain, &self.user_key),
            code::UNAUTHORIZED,
        )
        .await;
        let future = Signer {
            sequence: right.sequence + 5,
            ..right.clone()
        };
        let log = self
            .refused(
                signed(send(1), &future, &self.user_key),
                code::WRONG_SEQUENCE,
            )
            .await;
        let expected = format!("expected {}, got {}", right.sequence, right.sequence + 5);
        assert!(log.contains(&expected), "{log}");
        let mut forged = good.clone();
        *forged.last_mut().unwrap() ^= 1;
        self.refused(forged, code::UNAUTHORIZED).await;
        let everything = self.client.supply("upoq").await.unwrap();
        let rich = signed(send(everything), &right, &self.user_key);
        self.refused(rich, code::INSUFFICIENT_FUNDS).await;
        let stranger = Key::from_mnemonic(&Mnemonic::random()).unwrap();
        let message = self.send_message(&stranger.address("poq").unwrap(), 1);
        let nobody = Signer {
            account_number: 0,
            sequence: 0,
            ..right.clone()
        };
        self.refused(signed(message, &nobody, &stranger), code::UNKNOWN_ADDRESS)
            .await;
        let mut cheap = self.unsigned(send(1));
        cheap.fee = None;
        let cheap = tx::sign(&cheap, &right, &self.user_key).unwrap();
        self.refused(cheap, code::INSUFFICIENT_FEE).await;
        let hash = self.client.broadcast(good).await.unwrap();
        self.client
            .wait(hash, PATIENCE)
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    /// Errors of the transaction's messages.
    async fn requests(&self) {
        let right = short("Why?").message(self.user.address(), &self.model);
        let wrong = |change: fn(&mut MsgSubmitTask)| {
            let mut message = right.clone();
            change(&mut message);
            any(&message)
        };
        for (message, code) in [
            (wrong(|task| task.max_fee -= 1), code::FEE_BELOW_PRICE),
            (
                wrong(|task| task.model = "gpt-9".into()),
                code::UNKNOWN_MODEL,
            ),
            (wrong(|task| task.prompt.clear()), code::INVALID_PROMPT),
            (
                wrong(|task| task.max_answer_bytes = u32::MAX),
                code::INVALID_REQUEST,
            ),
        ] {
            self.refused_from(&self.user, message, paid(), code).await;
        }
        let evaluator = &self.evaluators[0];
        let again = MsgRegisterEvaluator {
            operator: evaluator.address().into(),
            evaluator_models: vec![self.model.evaluator_models[0].id.clone()],
            stake: 2_000_000_000,
            capacity: 0,
            ..MsgRegisterEvaluator::default()
        };
        self.refused_from(evaluator, any(&again), paid(), code::ALREADY_REGISTERED)
            .await;
    }

    /// A task whose duties are done by the wrong operator, too early, twice, wrongly and too late.
    async fn duties(&self) {
        let [first, second, late] = &self.evaluators[..] else {
            panic!("three evaluators");
        };
        let before = self
            .client
            .node(Role::Evaluator, late.address())
            .await
            .unwrap();
        let task = short("Why is the sky blue?")
            .submit(&self.user)
            .await
            .unwrap()
            .task;
        self.duty(first, self.answer(first, task), code::NOT_ASSIGNED)
            .await;
        self.duty(
            &self.inference,
            self.answer(&self.inference, 999),
            code::UNKNOWN_TASK,
        )
        .await;
        self.duty(first, self.commit(first, task), code::NOT_ASSIGNED)
            .await;
        self.wait_for(task, TaskStatus::Assigned).await;
        let mut long = self.answer(&self.inference, task);
        long.items[0].answer = "x".repeat(513);
        self.duty(&self.inference, long, code::ANSWER_TOO_LONG)
            .await;

        self.done(&self.inference, self.answer(&self.inference, task))
            .await;
        self.duty(
            &self.inference,
            self.answer(&self.inference, task),
            code::DUPLICATE,
        )
        .await;
        self.wait_for(task, TaskStatus::Committing).await;
        self.duty(
            &self.user,
            self.commit(&self.user, task),
            code::NOT_ASSIGNED,
        )
        .await;
        self.duty(first, self.reveal(first, task, SCORE), code::WRONG_PHASE)
            .await;
        self.done(first, self.commit(first, task)).await;
        self.duty(first, self.commit(first, task), code::DUPLICATE)
            .await;
        self.done(second, self.commit(second, task)).await;

        self.wait_for(task, TaskStatus::Revealing).await;
        self.duty(late, self.commit(late, task), code::WRONG_PHASE)
            .await;
        self.duty(late, self.reveal(late, task, SCORE), code::NO_COMMITMENT)
            .await;
        self.duty(
            first,
            self.reveal(first, task, SCORE + 1),
            code::REVEAL_MISMATCH,
        )
        .await;
        self.done(first, self.reveal(first, task, SCORE)).await;
        self.duty(first, self.reveal(first, task, SCORE), code::DUPLICATE)
            .await;
        self.done(second, self.reveal(second, task, SCORE)).await;

        self.wait_for(task, TaskStatus::Final).await;
        self.duty(second, self.reveal(second, task, SCORE), code::DUPLICATE)
            .await;
        let after = self
            .client
            .node(Role::Evaluator, late.address())
            .await
            .unwrap();
        assert_eq!((after.duties_missed, after.stake < before.stake), (1, true));
    }

    fn answer(&self, sender: &Sender, task_id: u64) -> MsgSubmitAnswers {
        MsgSubmitAnswers {
            operator: sender.address().into(),
            items: vec![AnswerItem {
                task_id,
                answer: "Air scatters blue light most.".into(),
                prompt_tokens: 7,
                answer_tokens: 6,
            }],
        }
    }

    fn commit(&self, sender: &Sender, task_id: u64) -> MsgCommitScores {
        let (chain_id, address) = (sender.chain_id(), sender.address_bytes());
        let commitment = commitment(chain_id, task_id, 0, &address, SCORE, &SALT).to_vec();
        MsgCommitScores {
            operator: sender.address().into(),
            items: vec![CommitItem {
                task_id,
                commitment,
            }],
        }
    }

    fn reveal(&self, sender: &Sender, task_id: u64, raw_score: i32) -> MsgRevealScores {
        MsgRevealScores {
            operator: sender.address().into(),
            items: vec![RevealItem {
                task_id,
                raw_score,
                salt: SALT.to_vec(),
            }],
        }
    }

    fn send_message(&self, from: &str, amount: u128) -> Any {
        any(&cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend {
            from_address: from.into(),
            to_address: self.inference.address().into(),
            amount: vec![cosmos_sdk_proto::cosmos::base::v1beta1::Coin {
                denom: "upoq".into(),
                amount: amount.to_string(),
            }],
        })
    }

    fn unsigned(&self, message: Any) -> Unsigned {
        Unsigned {
            messages: vec![message],
            gas_limit: GAS,
            fee: Some(("upoq".into(), 1_000_000)),
            memo: String::new(),
            timeout_height: 0,
        }
    }

    /// Asserts that CheckTx refuses the bytes, and returns its log.
    async fn refused(&self, bytes: Vec<u8>, expected: Code) -> String {
        check(self.client.broadcast(bytes).await.map(drop), expected)
    }

    async fn refused_from(&self, sender: &Sender, message: Any, fee: Fee, expected: Code) {
        check(sender.send(vec![message], fee).await.map(drop), expected);
    }

    async fn duty<M: prost::Message + prost::Name>(
        &self,
        sender: &Sender,
        message: M,
        expected: Code,
    ) {
        self.refused_from(sender, any(&message), free(), expected)
            .await;
    }

    async fn done<M: prost::Message + prost::Name>(&self, sender: &Sender, message: M) {
        sender
            .send_and_wait(vec![any(&message)], free(), PATIENCE)
            .await
            .unwrap();
    }

    async fn wait_for(&self, task: u64, status: TaskStatus) {
        let deadline = Instant::now() + PATIENCE;
        while self.client.task(task).await.unwrap().status() != status {
            assert!(Instant::now() < deadline, "task {task} is not {status:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A fee with a fixed gas limit: a simulation would refuse before CheckTx could.
fn paid() -> Fee {
    Fee::Gas(GAS)
}

fn free() -> Fee {
    Fee::Fixed {
        gas: GAS,
        amount: 0,
    }
}

fn check(result: Result<(), Error>, expected: Code) -> String {
    match result {
        Err(Error::Tx {
            code,
            codespace,
            log,
            ..
        }) => {
            assert_eq!(
                (codespace.as_str(), code),
                (expected.codespace, expected.number),
                "{log}"
            );
            log
        }
        other => panic!("expected code {}, got {other:?}", expected.number),
    }
}
