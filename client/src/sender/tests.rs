use std::collections::VecDeque;
use std::sync::{Arc, Mutex as StdMutex};

use cosmos_sdk_proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
use cosmos_sdk_proto::cosmos::base::abci::v1beta1::GasInfo;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, SimulateRequest, SimulateResponse, TxRaw};
use poq_proto::v1::{MsgCommitScores, Params, QueryParamsResponse};
use prost::Message;
use serde_json::{Value, json};
use tendermint_rpc::endpoint::abci_query;

use super::*;
use crate::fake_node::{FakeNode, RpcResult, checked, found as answer, query_failure, status};

/// A scripted node's reply to one broadcast.
enum Reply {
    Accept,
    Refuse(u32, &'static str, &'static str),
    Fail(&'static str),
}

/// A node whose state is at `sequence`. It uses its replies one by one, then accepts everything.
#[derive(Default)]
struct Script {
    sequence: u64,
    has_account: bool,
    replies: VecDeque<Reply>,
    /// Sequence and fee of every broadcast.
    broadcasts: Vec<(u64, Option<String>)>,
    account_reads: u32,
    execution_code: u32,
    /// Whether transactions are never included in a block.
    is_lost: bool,
}

type Shared = Arc<StdMutex<Script>>;

impl Script {
    fn handle(&mut self, method: &str, params: Value) -> RpcResult {
        match method {
            "status" => Ok(status("poq-local-1", 7)),
            "abci_query" => Ok(self.query(params)),
            "broadcast_tx_sync" => self.broadcast(params),
            "tx" if self.is_lost => Err("tx (00) not found".into()),
            "tx" => Ok(json!({
                "hash": "00".repeat(32), "height": "8", "index": 0, "tx": "",
                "tx_result": {
                    "code": self.execution_code, "data": "EgA=", "log": "", "info": "",
                    "gas_wanted": "130000", "gas_used": "100000", "events": [],
                    "codespace": "poq"
                }
            })),
            other => Err(format!("unexpected {other}")),
        }
    }

    fn query(&mut self, params: Value) -> Value {
        let request: abci_query::Request = serde_json::from_value(params).unwrap();
        match request.path.as_deref().unwrap() {
            "/poq.v1.Query/Params" => answer(&QueryParamsResponse {
                params: Some(Params {
                    bech32_prefix: "poq".into(),
                    denom: "upoq".into(),
                    gas_price: 25,
                    ..Default::default()
                }),
            }),
            "/cosmos.auth.v1beta1.Query/Account" if self.has_account => {
                self.account_reads += 1;
                answer(&QueryAccountResponse {
                    account: Some(tx::any(&BaseAccount {
                        account_number: 3,
                        sequence: self.sequence,
                        ..Default::default()
                    })),
                })
            }
            "/cosmos.auth.v1beta1.Query/Account" => query_failure(9, "sdk", "no such account"),
            "/cosmos.tx.v1beta1.Service/Simulate" => {
                let request = SimulateRequest::decode(request.data.as_slice()).unwrap();
                self.simulate(sequence_and_fee(&request.tx_bytes).0)
            }
            other => panic!("unexpected query {other}"),
        }
    }

    /// Uses the state alone, as the application does; the mempool is not included.
    fn simulate(&self, sequence: u64) -> Value {
        if sequence != self.sequence {
            let log = format!(
                "account sequence mismatch, expected {}, got {sequence}",
                self.sequence
            );
            return query_failure(32, "sdk", &log);
        }
        answer(&SimulateResponse {
            gas_info: Some(GasInfo {
                gas_wanted: 0,
                gas_used: 100_000,
            }),
            result: None,
        })
    }

    fn broadcast(&mut self, params: Value) -> RpcResult {
        let reply = self.replies.pop_front().unwrap_or(Reply::Accept);
        let (code, codespace, log) = match reply {
            Reply::Accept => (0, "", ""),
            Reply::Refuse(code, codespace, log) => (code, codespace, log),
            Reply::Fail(_) => (0, "", ""),
        };
        let (tx, answer) = checked(params, code, codespace, log);
        self.broadcasts.push(sequence_and_fee(&tx));
        match reply {
            Reply::Fail(data) => Err(data.into()),
            _ => Ok(answer),
        }
    }
}

fn sequence_and_fee(tx: &[u8]) -> (u64, Option<String>) {
    let raw = TxRaw::decode(tx).unwrap();
    let auth = AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap();
    let fee = auth
        .fee
        .unwrap()
        .amount
        .first()
        .map(|coin| coin.amount.clone());
    (auth.signer_infos[0].sequence, fee)
}

async fn start(sequence: u64, replies: impl IntoIterator<Item = Reply>) -> (FakeNode, Shared) {
    let script = Arc::new(StdMutex::new(Script {
        sequence,
        has_account: true,
        replies: replies.into_iter().collect(),
        ..Default::default()
    }));
    let shared = script.clone();
    let node =
        FakeNode::start(move |method, params| shared.lock().unwrap().handle(method, params)).await;
    (node, script)
}

async fn sender(node: &FakeNode) -> Sender {
    let client = Client::new(&node.url).unwrap();
    let key = Key::from_bytes(&[7; 32]).unwrap();
    Sender::new(client, key, Some("poq-local-1")).await.unwrap()
}

fn messages() -> Vec<Any> {
    vec![tx::any(&MsgCommitScores::default())]
}

fn sequences(script: &Shared) -> Vec<u64> {
    let script = script.lock().unwrap();
    script
        .broadcasts
        .iter()
        .map(|(sequence, _)| *sequence)
        .collect()
}

#[tokio::test]
async fn counts_the_sequence_without_reading_it_again() {
    let (node, script) = start(5, []).await;
    let sender = Arc::new(sender(&node).await);
    let sends = (0..4).map(|_| {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(messages(), Fee::Free).await.unwrap() })
    });
    futures::future::join_all(sends).await;
    assert_eq!(sequences(&script), [5, 6, 7, 8]);
    assert_eq!(script.lock().unwrap().account_reads, 1);
}

#[tokio::test]
async fn fees_follow_the_gas_price() {
    let (node, script) = start(0, []).await;
    let sender = sender(&node).await;
    let fixed = Fee::Fixed { gas: 1, amount: 42 };
    for fee in [Fee::Free, Fee::Auto, Fee::Adjusted(2.0), Fee::Gas(1), fixed] {
        sender.send(messages(), fee).await.unwrap();
    }
    // 130,000 gas at 25 per million is 3.25.
    let paid: Vec<_> = script
        .lock()
        .unwrap()
        .broadcasts
        .iter()
        .map(|(_, fee)| fee.clone())
        .collect();
    let text = |amount: &str| Some(amount.to_owned());
    assert_eq!(paid, [None, text("4"), text("5"), text("1"), text("42")]);

    let error = sender
        .send(messages(), Fee::Adjusted(f64::NAN))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InvalidTx(_)), "{error}");
}

#[tokio::test]
async fn takes_the_sequence_that_the_node_expects() {
    let log = "account sequence mismatch, expected 9, got 5";
    let (node, script) = start(5, [Reply::Refuse(32, "sdk", log)]).await;
    let sender = sender(&node).await;
    sender.send(messages(), Fee::Free).await.unwrap();
    sender.send(messages(), Fee::Free).await.unwrap();
    assert_eq!(sequences(&script), [5, 9, 10]);
}

#[tokio::test]
async fn reads_the_account_again_if_the_node_does_not_say() {
    let (node, script) = start(5, [Reply::Refuse(32, "sdk", "wrong")]).await;
    let sender = sender(&node).await;
    sender.send(messages(), Fee::Free).await.unwrap();
    assert_eq!(script.lock().unwrap().account_reads, 2);
}

#[tokio::test]
async fn gives_up_on_a_sequence_that_stays_wrong() {
    let refusals = (0..100).map(|_| Reply::Refuse(32, "sdk", "expected 9, got 5"));
    let (node, script) = start(5, refusals).await;
    let error = sender(&node)
        .await
        .send(messages(), Fee::Free)
        .await
        .unwrap_err();
    assert!(error.is(code::WRONG_SEQUENCE), "{error}");
    assert!(error.is_retryable());
    assert_eq!(sequences(&script).len(), SEQUENCE_ATTEMPTS as usize);
}

#[tokio::test]
async fn waits_while_the_mempool_is_full() {
    let full = "mempool is full: number of txs 5000 (max: 5000)";
    let replies = [
        Reply::Fail(full),
        Reply::Refuse(20, "sdk", "mempool is full"),
    ];
    let (node, script) = start(5, replies).await;
    sender(&node)
        .await
        .send(messages(), Fee::Gas(1))
        .await
        .unwrap();
    assert_eq!(sequences(&script), [5, 5, 5]);
}

#[tokio::test]
async fn a_duty_does_not_wait_for_a_full_mempool() {
    let full = "mempool is full: number of txs 5000 (max: 5000)";
    let (node, script) = start(5, [Reply::Fail(full)]).await;
    let sender = sender(&node).await;
    let error = sender.send(messages(), Fee::Free).await.unwrap_err();
    assert!(matches!(error, Error::MempoolFull { .. }), "{error}");
    sender.send(messages(), Fee::Free).await.unwrap();
    assert_eq!(sequences(&script), [5, 5]);
}

#[tokio::test]
async fn a_refused_transaction_uses_no_sequence() {
    let (node, script) = start(
        5,
        [Reply::Refuse(
            code::NOT_ASSIGNED.number,
            code::POQ,
            "not assigned",
        )],
    )
    .await;
    let sender = sender(&node).await;
    let error = sender.send(messages(), Fee::Free).await.unwrap_err();
    assert!(error.is(code::NOT_ASSIGNED), "{error}");
    assert!(!error.is_retryable());
    sender.send(messages(), Fee::Free).await.unwrap();
    assert_eq!(sequences(&script), [5, 5]);
}

#[tokio::test]
async fn a_transaction_in_the_mempool_already_is_accepted() {
    let (node, script) = start(5, [Reply::Fail("tx already exists in cache")]).await;
    let sender = sender(&node).await;
    sender.send(messages(), Fee::Free).await.unwrap();
    sender.send(messages(), Fee::Free).await.unwrap();
    assert_eq!(sequences(&script), [5, 6]);
}

#[tokio::test]
async fn an_unclear_outcome_makes_it_read_the_account_again() {
    let (node, script) = start(5, [Reply::Fail("something else")]).await;
    let sender = sender(&node).await;
    let error = sender.send(messages(), Fee::Free).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    script.lock().unwrap().sequence = 6;
    sender.send(messages(), Fee::Free).await.unwrap();
    assert_eq!(sequences(&script), [5, 6]);
}

#[tokio::test]
async fn a_failed_execution_is_an_error() {
    let (node, script) = start(5, []).await;
    let sender = sender(&node).await;
    let wait = Duration::from_secs(5);
    let outcome = sender
        .send_and_wait(messages(), Fee::Free, wait)
        .await
        .unwrap();
    assert_eq!((outcome.height, outcome.gas_used), (8, 100_000));
    assert_eq!(tx::responses(&outcome.data).unwrap().len(), 1);
    script.lock().unwrap().execution_code = code::WRONG_PHASE.number;
    let error = sender
        .send_and_wait(messages(), Fee::Free, wait)
        .await
        .unwrap_err();
    assert!(error.is(code::WRONG_PHASE), "{error}");
}

#[tokio::test]
async fn a_lost_transaction_is_missed_by_height() {
    let (node, script) = start(5, []).await;
    script.lock().unwrap().is_lost = true;
    let sender = sender(&node).await;
    let (height, heights) = watch::channel(100);
    let send = async |timeout_height| {
        let options = TxOptions {
            timeout_height,
            ..TxOptions::from(Fee::Free)
        };
        let sent = sender.send_and_wait_blocks(messages(), options, 2, heights.clone());
        tokio::pin!(sent);
        loop {
            let wait = Duration::from_millis(50);
            match tokio::time::timeout(wait, &mut sent).await {
                Ok(outcome) => return outcome,
                // Only another block ends the wait.
                Err(_) => height.send_modify(|height| *height += 1),
            }
        }
    };
    let error = send(0).await.unwrap_err();
    assert!(
        matches!(error, Error::NotInBlocks { height: 103, .. }),
        "{error}"
    );
    assert!(error.is_retryable());
    let error = send(104).await.unwrap_err();
    assert!(
        matches!(error, Error::NotInBlocks { height: 105, .. }),
        "the timeout height ends the wait earlier: {error}"
    );
    // The local count may be wrong now.
    assert_eq!(script.lock().unwrap().account_reads, 2);
    script.lock().unwrap().is_lost = false;
    assert_eq!(send(0).await.unwrap().height, 8);
}

#[tokio::test]
async fn needs_an_account() {
    let (node, script) = start(5, []).await;
    script.lock().unwrap().has_account = false;
    let error = sender(&node)
        .await
        .send(messages(), Fee::Free)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoAccount { .. }), "{error}");
}

#[tokio::test]
async fn refuses_another_chain() {
    let (node, _script) = start(5, []).await;
    let client = Client::new(&node.url).unwrap();
    let key = Key::from_bytes(&[7; 32]).unwrap();
    let error = Sender::new(client, key, Some("poq-1")).await.err().unwrap();
    assert!(
        matches!(&error, Error::ChainId { expected, actual, .. }
            if expected == "poq-1" && actual == "poq-local-1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_chain_without_a_block_is_waited_for() {
    let node = FakeNode::start(|method, _| match method {
        "status" => Ok(status("poq-local-1", 0)),
        _ => Ok(query_failure(
            code::NO_BLOCK.number,
            code::NO_BLOCK.codespace,
            "",
        )),
    })
    .await;
    let client = Client::new(&node.url).unwrap();
    let key = Key::from_bytes(&[1; 32]).unwrap();
    let error = Sender::new(client, key, None).await.err().unwrap();
    assert!(error.is_retryable(), "{error}");
}
