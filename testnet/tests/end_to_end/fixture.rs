//! A running network for a test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_client::receipt::{AnswerPart, Receipt as Document, Subject};
use poq_client::{Any, Client, Fee, Sender, any};
use poq_proto::v1::{MsgCloseSessions, Session, SessionStatus};
use poq_testnet::{
    Gateway, Network, Programs, Question, Receipt, Result, Spec, Submitted, free_range,
};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};

/// Serialises tests: the processes of several networks would miss deadlines on a small machine.
static TURN: Mutex<()> = Mutex::const_new(());
/// Time limit for slow machines; a healthy network is much faster.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// Pause between two looks at the chain.
const PAUSE: Duration = Duration::from_millis(500);
/// Ports of a network, more than any test needs.
const PORTS: u16 = 100;

/// Different short questions.
pub(crate) const PROMPTS: [&str; 4] = [
    "What is the capital of France?",
    "Name a primary colour.",
    "How many legs does a spider have?",
    "Which planet is closest to the sun?",
];

/// A network whose folder stays after the test, with its logs.
pub(crate) struct Fixture {
    pub network: Network,
    _turn: MutexGuard<'static, ()>,
}

impl Fixture {
    /// Creates a network without sessions and without starting it. `change` may alter its spec.
    pub(crate) async fn create(
        name: &str,
        size: [usize; 3],
        change: impl FnOnce(&mut Spec),
    ) -> Self {
        let without_sessions = |spec: &mut Spec| {
            let params = spec.genesis["params"].as_object_mut().unwrap();
            params.remove("sessions");
            change(spec);
        };
        Self::with_sessions_and(name, size, without_sessions).await
    }

    /// Creates a network with sessions and a gateway, without starting it.
    pub(crate) async fn with_sessions(name: &str, size: [usize; 3]) -> Self {
        Self::with_sessions_and(name, size, |_| {}).await
    }

    /// The same; `change` may alter its spec.
    pub(crate) async fn with_sessions_and(
        name: &str,
        [validators, inference_nodes, evaluators]: [usize; 3],
        change: impl FnOnce(&mut Spec),
    ) -> Self {
        let turn = TURN.lock().await;
        let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_poq-testnet"))).unwrap();
        let base_port = free_range(PORTS).unwrap();
        let mut spec = Spec::new(validators, inference_nodes, evaluators, base_port).unwrap();
        change(&mut spec);
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let network = Network::create(&root, programs, &spec).await.unwrap();
        eprintln!("logs of this test are in {}", network.logs().display());
        Self {
            network,
            _turn: turn,
        }
    }

    /// Creates and starts a network, and waits until all of its processes are healthy.
    pub(crate) async fn start(
        name: &str,
        size: [usize; 3],
        change: impl FnOnce(&mut Spec),
    ) -> Self {
        let mut fixture = Self::create(name, size, change).await;
        fixture.start_all().await;
        fixture
    }

    /// Starts the stopped processes and waits until all are healthy.
    pub(crate) async fn start_all(&mut self) {
        self.network.start_all().unwrap();
        self.healthy().await;
    }

    /// Starts all processes of a network but one, and waits until they are healthy.
    pub(crate) async fn start_all_but(&mut self, left_out: &str) {
        let names = self.network.description().names();
        let names: Vec<String> = names.map(Into::into).collect();
        for name in names.iter().filter(|name| *name != left_out) {
            self.network.start(name).unwrap();
        }
        self.healthy().await;
    }

    /// Waits until all running processes are healthy.
    pub(crate) async fn healthy(&mut self) {
        self.network
            .wait_healthy(PATIENCE, |_, _| {})
            .await
            .unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        self.network.client(0).unwrap()
    }

    pub(crate) async fn user(&self) -> Sender {
        self.network
            .sender(&self.network.description().user)
            .await
            .unwrap()
    }

    /// Sends coins from the network's user to an address.
    pub(crate) async fn pay(&self, address: &str, upoq: u64) {
        let user = self.user().await;
        let payment = MsgSend {
            from_address: user.address().into(),
            to_address: address.into(),
            amount: vec![Coin {
                denom: "upoq".into(),
                amount: upoq.to_string(),
            }],
        };
        send(&user, any(&payment), Fee::Gas(200_000)).await;
    }

    /// Asks a question and waits for its receipt.
    pub(crate) async fn ask(&self, user: &Sender, question: &Question) -> Result<Receipt> {
        self.receipt(question.submit(user).await?).await
    }

    /// Waits for the receipt of a question.
    pub(crate) async fn receipt(&self, submitted: Submitted) -> Result<Receipt> {
        let description = self.network.description();
        submitted.receipt(self.client(), description, |_| {}).await
    }

    pub(crate) fn gateway(&self) -> Gateway {
        self.network.description().gateway.clone().unwrap()
    }

    /// Waits until the gateway's sessions are as wanted, and returns them.
    pub(crate) async fn sessions(&self, wanted: impl Fn(&[Session]) -> bool) -> Vec<Session> {
        let (client, gateway) = (self.client(), self.gateway());
        let found = timeout(PATIENCE, async {
            loop {
                let user = &gateway.account.address;
                let sessions = client.sessions_of_user(user).await.unwrap();
                if wanted(&sessions) {
                    return sessions;
                }
                sleep(PAUSE).await;
            }
        });
        found
            .await
            .expect("the sessions did not become as expected; see the logs")
    }

    /// Closes the gateway's open sessions in its name.
    pub(crate) async fn close_sessions(&self) {
        let gateway = self.gateway();
        let account = self.network.sender(&gateway.account).await.unwrap();
        let sessions = self.sessions(|_| true).await;
        let open = sessions.iter().filter(|session| is_open(session));
        let message = MsgCloseSessions {
            user: gateway.account.address,
            sessions: open.map(|session| session.id).collect(),
        };
        if !message.sessions.is_empty() {
            send(&account, any(&message), Fee::Gas(1_000_000)).await;
        }
    }

    /// The gateway's receipt of an answer by its id, in a file, if there is one.
    pub(crate) async fn save_receipt(&self, id: &str) -> Option<PathBuf> {
        let network = &self.network;
        let file = network.root().join("receipt.json");
        let mut command = Command::new(network.programs().poqd().with_file_name("poq-gateway"));
        command
            .args(["receipt", "get", id, "--out"])
            .arg(&file)
            .arg("--home")
            .arg(network.root().join(&self.gateway().account.home));
        let output = command.output().await.unwrap();
        output.status.success().then_some(file)
    }

    /// The gateway's receipt of an answer by its id, and the report of its verification without the gateway.
    pub(crate) async fn gateway_receipt(&self, id: &str) -> (AnswerPart, Value) {
        let file = self.save_receipt(id).await.unwrap();
        let report = verify_receipt(&self.network, &file).await;
        let document: Document = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        match document.subject {
            Subject::Answer(part) => (part, report),
            Subject::Task(task) => panic!("{id} is the receipt of task {}", task.id),
        }
    }

    /// Asserts that every validator has the same state after the block at `height`.
    pub(crate) async fn assert_equal_hashes(&mut self, height: u64) {
        let mut hashes = Vec::new();
        for validator in 0..self.network.description().validators.len() {
            // The hash is in the header of the next block.
            self.network
                .wait_height(validator, height + 1, PATIENCE)
                .await
                .unwrap();
            let client = self.network.client(validator).unwrap();
            hashes.push(hex::encode(client.app_hash(height).await.unwrap()));
        }
        assert!(
            hashes.iter().all(|hash| *hash == hashes[0]),
            "block {height}: {hashes:?}"
        );
    }

    pub(crate) async fn shut_down(self) {
        self.network.shut_down().await.unwrap();
    }
}

/// Whether a session takes orders.
pub(crate) fn is_open(session: &Session) -> bool {
    session.status() == SessionStatus::Open
}

/// Whether a session has ended, and its money is where it belongs.
pub(crate) fn is_over(session: &Session) -> bool {
    matches!(
        session.status(),
        SessionStatus::Final | SessionStatus::Refunded
    )
}

/// Sends a message and waits until it is in a block.
pub(crate) async fn send(sender: &Sender, message: Any, fee: Fee) {
    sender
        .send_and_wait(vec![message], fee, PATIENCE)
        .await
        .unwrap();
}

/// Verifies a receipt in a file with `poqd`, which trusts the hash that the node has of its header.
pub(crate) async fn verify_receipt(network: &Network, file: &Path) -> Value {
    let receipt: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let height = &receipt["state"]["signed_header"]["header"]["height"];
    let height = height.as_str().unwrap().parse().unwrap();
    let client = network.client(0).unwrap();
    let block = client.block(Some(height)).await.unwrap();
    let mut command = Command::new(network.programs().poqd());
    command
        .args(["receipt", "verify", "--output", "json", "--trusted-hash"])
        .arg(block.block_id.hash.to_string())
        .arg(file);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "verified", "{report}");
    report
}

/// A question with a short answer.
pub(crate) fn short(prompt: &str) -> Question {
    Question {
        prompt: prompt.into(),
        max_answer_bytes: 512,
        max_tokens: 16,
    }
}
