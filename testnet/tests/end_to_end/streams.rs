//! Answers of sessions whose node, gateway or chain is lost in the middle.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use poq_proto::v1::{Finish, Role, Session};
use poq_testnet::Worker;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::api::{Api, Broken, Response};
use crate::fixture::{Fixture, PATIENCE, is_open, is_over};

/// Bytes of a stream's text after which processes are killed.
const SOME_TEXT: usize = 40;
/// Age of the newest block from which on the gateway takes no requests.
const HALTED: Duration = Duration::from_secs(60);
/// Age of the newest block at which an answer is begun that is written beyond that.
const ALMOST: Duration = Duration::from_secs(45);
/// Orders that are not in a log, as the gateway sees them.
const OUTSTANDING: &str = "poq_gateway_outstanding_price";
const FAILOVERS: &str = "poq_gateway_failovers_total";

#[tokio::test]
async fn answers_outlive_the_processes_that_serve_them() {
    let mut network = Streams::start().await;
    network.a_stream_ends_with_its_node().await;
    network.a_whole_answer_outlives_its_node().await;
    network.gateway_and_node_agree_after_their_crash().await;
    network.a_gateway_ends_what_its_last_process_ordered().await;
    network.the_chain_is_away_for_a_minute().await;
    network.everything_is_settled_and_paid_once().await;
}

/// A request for a long answer. Without randomness every node gives the same one.
fn long(question: &str, is_stream: bool) -> Value {
    json!({
        "model": "smollm2-135m-instruct",
        "messages": [{ "role": "user", "content": question }],
        "max_tokens": 200,
        "temperature": 0,
        "stream": is_stream,
    })
}

fn short(question: &str) -> Value {
    let mut body = long(question, false);
    body["max_tokens"] = json!(8);
    body
}

/// A network with a gateway, and what its client has paid.
struct Streams {
    fixture: Fixture,
    api: Api,
    /// Prices of the whole answers, by session.
    paid: BTreeMap<u64, u64>,
    /// Receipts of answers that were lost with their nodes.
    lost: Vec<String>,
    /// Receipt of an answer that was lost with the gateway, which pays for it.
    own: Option<String>,
}

impl Streams {
    async fn start() -> Self {
        let mut fixture = Fixture::with_sessions("streams", [1, 2, 5]).await;
        let gateway = fixture.gateway();
        // Nodes first: a gateway that finds none looks again after a quarter of a minute.
        fixture.start_all_but(&gateway.name).await;
        fixture.network.offer_sessions().await.unwrap();
        fixture.start_all().await;
        let api = Api {
            address: gateway.http,
            key: fixture
                .network
                .create_api_key("test")
                .await
                .unwrap()
                .unwrap(),
        };
        let network = Self {
            fixture,
            api,
            paid: BTreeMap::new(),
            lost: Vec::new(),
            own: None,
        };
        network.both_nodes_have_sessions().await;
        network
    }

    /// Waits until the gateway can order from each node.
    async fn both_nodes_have_sessions(&self) {
        let fixture = &self.fixture;
        let has_session = |worker: &Worker, sessions: &[Session]| {
            let mut open = sessions.iter().filter(|session| is_open(session));
            open.any(|session| operator(session) == worker.account.address)
        };
        let nodes = &fixture.network.description().inference_nodes;
        fixture
            .sessions(|sessions| nodes.iter().all(|node| has_session(node, sessions)))
            .await;
        let open = "poq_gateway_sessions{status=\"open\"}";
        self.api.metric(open, |open| open >= 2.0).await;
    }

    /// Asks for a whole answer and accounts for it.
    async fn ask(&mut self, body: &Value) -> Value {
        let answer = self.api.answer(body).await;
        self.account(&answer);
        answer
    }

    fn account(&mut self, answer: &Value) {
        let proof = &answer["poq"];
        let (price, charged) = (&proof["price"], &proof["charged"]);
        assert_eq!(price, charged, "{answer}");
        let session = session_of(proof["receipt"].as_str().unwrap());
        *self.paid.entry(session).or_default() += price.as_u64().unwrap();
    }

    /// Begins a stream and reads some of its text.
    async fn begin(&self, body: &Value) -> Begun {
        let response = self.api.chat(body).await.unwrap();
        self.begun(response).await
    }

    async fn begun(&self, response: Response) -> Begun {
        assert_eq!(response.status, StatusCode::OK);
        let mut begun = Begun {
            node: self.name(response.header("x-poq-node")),
            receipt: response.header("x-poq-receipt").to_owned(),
            response,
            text: String::new(),
        };
        while begun.text.len() < SOME_TEXT {
            let event = begun.response.event().await.unwrap().unwrap();
            begun.take(&serde_json::from_str(&event).unwrap());
        }
        begun
    }

    fn name(&self, operator: &str) -> String {
        self.fixture.network.description().name(operator).to_owned()
    }

    /// Waits until every order is in a log: then gateway and nodes agree.
    async fn all_is_clear(&self) {
        // The metric is a second old at most.
        sleep(Duration::from_secs(2)).await;
        self.api.metric(OUTSTANDING, |price| price == 0.0).await;
    }

    async fn spent(&self) -> u64 {
        let balance = self.api.get("/v1/balance").await.unwrap();
        let balance = balance.json().await.unwrap();
        balance["key"]["spent_day"].as_u64().unwrap()
    }

    /// The client hears of the loss, gets no other text, and pays nothing.
    async fn a_stream_ends_with_its_node(&mut self) {
        let question = "Tell me a long story about the sea.";
        let mut begun = self.begin(&long(question, true)).await;
        self.fixture.network.kill(&begun.node).await.unwrap();
        let error = begun.rest().await.unwrap();
        assert_eq!(error["code"], "node_lost", "{error}");
        assert_eq!(error["type"], "server_error", "{error}");
        assert_eq!(self.spent().await, 0);

        let other = self.ask(&long(question, false)).await;
        let node = self.name(other["poq"]["node"].as_str().unwrap());
        assert_ne!(node, begun.node);
        let text = other["choices"][0]["message"]["content"].as_str().unwrap();
        assert!(
            text.starts_with(&begun.text) && text != begun.text,
            "the stream had {:?}, the whole answer is {text:?}",
            begun.text
        );
        self.restart(&[&begun.node]).await;
        self.lost.push(begun.receipt);
    }

    /// Nothing of it was sent, so another node can write all of it.
    async fn a_whole_answer_outlives_its_node(&mut self) {
        let question = "Explain to me how a sailing ship is built, step by step.";
        // A conversation stays with its node.
        let first = self.ask(&short(question)).await;
        let victim = self.name(first["poq"]["node"].as_str().unwrap());
        let failovers = self.api.metric(FAILOVERS, |_| true).await;
        let api = self.api.clone();
        let asked = tokio::spawn(async move { api.chat(&long(question, false)).await });
        sleep(Duration::from_secs(1)).await;
        self.fixture.network.kill(&victim).await.unwrap();
        let response = asked.await.unwrap().unwrap();
        assert_eq!(response.status, StatusCode::OK);
        let answer = response.json().await.unwrap();
        self.account(&answer);
        let node = answer["poq"]["node"].as_str().unwrap();
        assert_ne!(self.name(node), victim);
        let found = self.api.metric(FAILOVERS, |_| true).await;
        assert_eq!(found, failovers + 1.0);
        self.restart(&[&victim]).await;
    }

    /// Both forget the answer; the client that asks again pays for one.
    async fn gateway_and_node_agree_after_their_crash(&mut self) {
        let spent = self.spent().await;
        let question = "Describe the life of a lighthouse keeper.";
        let mut begun = self.begin(&long(question, true)).await;
        let gateway = self.fixture.gateway().name;
        self.fixture.network.kill(&gateway).await.unwrap();
        self.fixture.network.kill(&begun.node).await.unwrap();
        assert!(begun.rest().await.is_err(), "the stream must not end well");
        self.restart(&[&gateway, &begun.node]).await;
        assert_eq!(self.spent().await, spent);

        let repeated = self.api.repeat(&long(question, true)).await.unwrap();
        let mut repeated = self.begun(repeated).await;
        let last = repeated.whole().await;
        self.account(&last);
        assert!(repeated.text.starts_with(&begun.text));
        for question in ["What is a buoy?", "What is a sail?"] {
            self.ask(&short(question)).await;
        }
        self.lost.push(begun.receipt);
    }

    /// The node goes on, so that the rest is stopped, and what there is is paid, but not by the client.
    async fn a_gateway_ends_what_its_last_process_ordered(&mut self) {
        let spent = self.spent().await;
        let question = "Tell me all that you know about whales.";
        let mut begun = self.begin(&long(question, true)).await;
        let gateway = self.fixture.gateway().name;
        self.fixture.network.kill(&gateway).await.unwrap();
        assert!(begun.rest().await.is_err(), "the stream must not end well");
        self.restart(&[&gateway]).await;
        assert_eq!(self.spent().await, spent);
        self.ask(&short(question)).await;
        self.own = Some(begun.receipt);
    }

    /// Starts killed processes again, and waits until gateway and nodes agree.
    async fn restart(&mut self, names: &[&str]) {
        for name in names {
            self.fixture.network.start(name).unwrap();
        }
        self.fixture.healthy().await;
        self.all_is_clear().await;
        self.both_nodes_have_sessions().await;
    }

    /// Open sessions need no chain until its newest block is a minute old.
    async fn the_chain_is_away_for_a_minute(&mut self) {
        self.fixture.network.kill("node1").await.unwrap();
        let killed = Instant::now();
        let mut story = long("Tell me a story about a storm.", true);
        story["max_tokens"] = json!(300);
        let mut begun = None;
        let refused = loop {
            let response = self.api.chat(&short("Is it raining?")).await.unwrap();
            if response.status != StatusCode::OK {
                break response;
            }
            self.account(&response.json().await.unwrap());
            assert!(killed.elapsed() < PATIENCE, "the gateway sees no halt");
            if begun.is_none() && killed.elapsed() > ALMOST {
                begun = Some(self.begin(&story).await);
            }
            sleep(Duration::from_secs(4)).await;
        };
        // The gateway may have seen the newest block a moment before.
        assert!(killed.elapsed() + Duration::from_secs(5) > HALTED);
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
        let error = refused.json().await.unwrap();
        assert_eq!(error["error"]["code"], "chain_halted", "{error}");
        self.fixture.network.check().unwrap();
        self.fixture.network.start("node1").unwrap();
        self.ask(&short("Is it sunny?")).await;
        let last = begun.unwrap().whole().await;
        self.account(&last);
    }

    /// The chain pays for exactly the answers that clients have, and for the one that the gateway stopped.
    async fn everything_is_settled_and_paid_once(mut self) {
        for receipt in self.lost.iter().chain(&self.own) {
            let path = format!("/v1/receipts/{receipt}");
            let found = self.api.get(&path).await.unwrap();
            assert_eq!(found.status, StatusCode::NOT_FOUND, "{receipt}");
        }
        assert_eq!(self.spent().await, self.paid.values().sum::<u64>());
        self.all_is_clear().await;
        // The gateway acknowledges what it has within seconds.
        sleep(Duration::from_secs(3)).await;
        let mut fixture = self.fixture;
        let gateway = fixture.gateway();
        fixture.network.stop(&gateway.name).await.unwrap();
        fixture.close_sessions().await;
        let sessions = fixture
            .sessions(|sessions| sessions.iter().all(is_over))
            .await;
        for receipt in &self.lost {
            let (part, report) = fixture.gateway_receipt(receipt).await;
            assert_eq!(
                (part.leaf.finish(), part.leaf.price),
                (Finish::Void, 0),
                "{report}"
            );
        }
        let (part, report) = fixture.gateway_receipt(&self.own.unwrap()).await;
        assert_ne!(part.leaf.finish(), Finish::Void, "{report}");
        *self.paid.entry(part.session).or_default() += part.leaf.price;
        for session in &sessions {
            let paid = self.paid.get(&session.id).copied().unwrap_or(0);
            let settlement = session.settlement.as_ref();
            let settled = settlement.map_or((0, 0), |one| (one.amount, one.unacknowledged));
            assert_eq!(settled, (paid, 0), "{session:?}");
        }
        let (client, description) = (fixture.client(), fixture.network.description());
        for (role, workers) in [
            (Role::Inference, &description.inference_nodes),
            (Role::Evaluator, &description.evaluators),
        ] {
            for worker in workers {
                let node = client.node(role, &worker.account.address).await.unwrap();
                assert_eq!((node.duties_missed, node.slashed), (0, 0), "{node:?}");
            }
        }
        fixture.shut_down().await;
    }
}

/// The session in a receipt's id.
fn session_of(receipt: &str) -> u64 {
    receipt.split_once('-').unwrap().0.parse().unwrap()
}

fn operator(session: &Session) -> &str {
    session.node.as_ref().map_or("", |node| &node.operator)
}

/// A stream in the middle of its text.
struct Begun {
    response: Response,
    /// Name of the process that serves it.
    node: String,
    receipt: String,
    text: String,
}

impl Begun {
    /// Takes a chunk in, which must not be the last one of a whole answer.
    fn take(&mut self, chunk: &Value) {
        let choice = &chunk["choices"][0];
        assert!(choice["finish_reason"].is_null(), "{chunk}");
        assert_eq!(chunk["id"], format!("chatcmpl-{}", self.receipt));
        if let Some(more) = choice["delta"]["content"].as_str() {
            self.text += more;
        }
    }

    /// Reads a stream that ends well, and returns its last chunk.
    async fn whole(&mut self) -> Value {
        let last = loop {
            let event = self.response.event().await.unwrap().unwrap();
            let event: Value = serde_json::from_str(&event).unwrap();
            if event.get("poq").is_some() {
                break event;
            }
            self.take(&event);
        };
        assert!(last["choices"][0]["finish_reason"].is_string(), "{last}");
        let end = self.response.event().await.unwrap();
        assert_eq!(end.as_deref(), Some("[DONE]"));
        last
    }

    /// Reads to the end, and returns the error before the last event.
    async fn rest(&mut self) -> Result<Value, Broken> {
        let error = loop {
            let event = self.response.event().await?;
            let event = event.ok_or("the stream ended silently")?;
            let event: Value = serde_json::from_str(&event)?;
            match event.get("error") {
                Some(error) => break error.clone(),
                None => self.take(&event),
            }
        };
        let last = self.response.event().await?;
        assert_eq!(last.as_deref(), Some("[DONE]"));
        assert_eq!(self.response.event().await?, None);
        Ok(error)
    }
}
