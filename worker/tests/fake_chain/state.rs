//! The fake chain's logic, without the network.

use std::collections::BTreeMap;

use cosmos_sdk_proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData;
use poq_client::{Any, Key, TxHash, any, tx};
use poq_proto::v1::{
    Duty, ItemResult, MsgCommitScores, MsgCommitScoresResponse, MsgRevealScores,
    MsgRevealScoresResponse, MsgSubmitAnswers, MsgSubmitAnswersResponse, Params,
    QueryDutiesResponse, QueryParamsResponse, QueryPayloadRequest, QueryPayloadResponse,
    QueryTaskRequest, QueryTaskResponse, TaskStatus,
};
use poq_proto::{code, commitment};
use prost::{Message, Name};
use serde_json::{Value, json};
use tendermint_rpc::endpoint::{abci_query, broadcast::tx_sync, tx as tx_query};

use super::record::Record;
use crate::fake_node::{RpcResult, checked, found, info, query_failure, status};

/// The chain's id.
pub(crate) const CHAIN: &str = "poq-local-1";
/// Height queries per block: a worker sends a few requests in between.
const LOOKS: u64 = 3;
/// The model of the tests' duties.
pub(super) const MODEL: &str = "m";

/// Moments at which a worker can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// It queries a duty's texts.
    Seen,
    /// It has computed a score or an answer.
    Scored,
    /// It queries its account, to sign what it has on disk.
    Journalled,
    /// It sends a transaction, which is lost.
    Signed,
    /// It sends a transaction, which arrives.
    Sent,
    /// A block includes its transaction.
    Included,
    /// Blocks include all of its commitments.
    Committed,
    /// A block includes one of its reveals.
    Revealed,
}

/// The whole chain.
pub(crate) struct State {
    /// The newest block.
    pub height: u64,
    /// Blocks of each phase.
    pub window: u64,
    /// The parameters that the worker reads.
    pub params: Params,
    /// Number of transactions that the mempool will lose.
    pub lose: u32,
    /// Whether the node refuses queries for texts.
    pub lacks_texts: bool,
    /// Reasons for which the operator would have been slashed.
    pub slashes: Vec<String>,
    /// Number of items in each transaction that was sent.
    pub sent: Vec<usize>,
    /// Number of items in each batch that the mempool refused because most would fail.
    pub mostly_failing: Vec<usize>,
    /// By id.
    pub tasks: BTreeMap<u64, Record>,
    operator: String,
    address: [u8; 20],
    sequence: u64,
    mempool: Vec<Pending>,
    looks: u64,
    txs: BTreeMap<TxHash, (u64, Value)>,
    kill: Option<(Point, u32)>,
    is_dead: bool,
}

struct Pending {
    hash: TxHash,
    message: Any,
    timeout_height: u64,
}

impl State {
    /// A chain without tasks, whose operator has this key.
    pub(crate) fn new(key: &Key, window: u64) -> Self {
        Self {
            height: 10,
            window,
            params: Params {
                bech32_prefix: "poq".into(),
                denom: "upoq".into(),
                max_batch_items: 500,
                max_tx_bytes: 1 << 20,
                ..Params::default()
            },
            lose: 0,
            lacks_texts: false,
            slashes: Vec::new(),
            sent: Vec::new(),
            mostly_failing: Vec::new(),
            tasks: BTreeMap::new(),
            operator: key.address("poq").unwrap(),
            address: key.address_bytes(),
            sequence: 0,
            mempool: Vec::new(),
            looks: 0,
            txs: BTreeMap::new(),
            kill: None,
            is_dead: false,
        }
    }

    /// A task in `phase`: assigned to be answered, or committing with an answer to score.
    pub(crate) fn add(&mut self, id: u64, phase: TaskStatus, prompt: &str, answer: Option<&str>) {
        let due_height = self.height + self.window;
        let record = Record::new(&self.operator, id, phase, due_height, prompt, answer);
        self.tasks.insert(id, record);
    }

    /// Kills the worker when it reaches `point` for the `nth` time, from 1.
    pub(crate) fn kill_at(&mut self, point: Point, nth: u32) {
        self.kill = Some((point, nth));
    }

    /// Whether the worker is dead.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// Accepts a new process.
    pub(crate) fn revive(&mut self) {
        self.is_dead = false;
    }

    /// Whether the worker lives on after this moment.
    pub(crate) fn reach(&mut self, point: Point) -> bool {
        match &mut self.kill {
            Some((at, left)) if *at == point && *left > 1 => *left -= 1,
            Some((at, _)) if *at == point => {
                self.kill = None;
                self.is_dead = true;
            }
            _ => {}
        }
        !self.is_dead
    }

    /// Whether no task needs anything any more.
    pub(crate) fn is_over(&self) -> bool {
        self.tasks.values().all(|record| !record.is_open())
    }

    /// Number of completed tasks.
    pub(crate) fn done(&self) -> usize {
        let status = |record: &&Record| record.task.status() == TaskStatus::Final;
        self.tasks.values().filter(status).count()
    }

    /// The operator's duties.
    pub(crate) fn duties(&self) -> Vec<Duty> {
        let open = self.tasks.values().filter(|record| record.is_open());
        let open = open.filter(|record| !record.is_committed());
        open.map(|record| Duty {
            task_id: record.task.id,
            phase: record.task.status,
            due_height: record.task.due_height,
            model: MODEL.into(),
            evaluator_model: MODEL.into(),
            ..Duty::default()
        })
        .collect()
    }

    /// Produces the next block.
    pub(crate) fn block(&mut self) {
        self.height += 1;
        for pending in std::mem::take(&mut self.mempool) {
            if pending.timeout_height != 0 && pending.timeout_height < self.height {
                continue;
            }
            self.sequence += 1;
            let is_reveal = pending
                .message
                .type_url
                .ends_with(&MsgRevealScores::full_name());
            let results = self.execute(&pending.message);
            let data = data(&pending.message, results);
            self.txs.insert(pending.hash, (self.height, data));
            self.reach(Point::Included);
            if is_reveal {
                self.reach(Point::Revealed);
            }
        }
        self.close_phases();
    }

    /// Reveals begin together, once all commitments are there or the window is over.
    fn close_phases(&mut self) {
        let due_height = self.height + self.window;
        let mut open = self.tasks.values().filter(|record| record.is_open());
        let all_committed = open.all(|record| !record.waits_for(TaskStatus::Committing));
        for record in self.tasks.values_mut() {
            let is_over = record.task.due_height <= self.height;
            if record.is_committed() && (all_committed || is_over) {
                record.task.set_status(TaskStatus::Revealing);
                record.task.due_height = due_height;
            } else if record.is_open() && is_over {
                let (id, phase) = (record.task.id, record.task.status().as_str_name());
                self.slashes.push(format!("task {id}: {phase} missed"));
                record.task.set_status(TaskStatus::Refunded);
            }
        }
        if all_committed {
            self.reach(Point::Committed);
        }
    }

    /// Result codes of the items.
    fn execute(&mut self, message: &Any) -> Vec<u32> {
        let address = self.address;
        let mut apply = |id: u64, change: &dyn Fn(&mut Record) -> u32| match self.tasks.get_mut(&id)
        {
            Some(record) => change(record),
            None => code::UNKNOWN_TASK.number,
        };
        let value = message.value.as_slice();
        if let Some(message) = unpack::<MsgSubmitAnswers>(message) {
            let item = message.items.iter();
            return item
                .map(|item| apply(item.task_id, &|record| record.submit(&item.answer)))
                .collect();
        }
        if let Some(message) = unpack::<MsgCommitScores>(message) {
            let commit = |item: &poq_proto::v1::CommitItem| {
                apply(item.task_id, &|record| record.commit(&item.commitment))
            };
            return message.items.iter().map(commit).collect();
        }
        let message = MsgRevealScores::decode(value).unwrap();
        let reveal = |item: &poq_proto::v1::RevealItem| {
            apply(item.task_id, &|record| {
                let salt = item.salt.as_slice().try_into().unwrap();
                let (id, score) = (item.task_id, item.raw_score);
                record.reveal(commitment(CHAIN, id, 0, &address, score, &salt), score)
            })
        };
        message.items.iter().map(reveal).collect()
    }

    /// Handles one call of the worker.
    pub(crate) fn handle(&mut self, method: &str, params: Value) -> RpcResult {
        match method {
            "status" => Ok(status(CHAIN, self.height)),
            "abci_info" => {
                self.looks += 1;
                if self.looks.is_multiple_of(LOOKS) {
                    self.block();
                }
                Ok(info(self.height))
            }
            "abci_query" => Ok(self.query(params)),
            "broadcast_tx_sync" => Ok(self.broadcast(params)),
            "tx" => self.tx(params),
            other => Err(format!("unexpected {other}")),
        }
    }

    fn query(&mut self, params: Value) -> Value {
        let request: abci_query::Request = serde_json::from_value(params).unwrap();
        let data = request.data.as_slice();
        match request.path.as_deref().unwrap() {
            "/poq.v1.Query/Params" => found(&QueryParamsResponse {
                params: Some(self.params.clone()),
            }),
            "/poq.v1.Query/Duties" => found(&QueryDutiesResponse {
                duties: self.duties(),
            }),
            "/poq.v1.Query/Payload" if self.lacks_texts => {
                query_failure(code::NOT_FOUND.number, code::SDK, "no texts")
            }
            "/poq.v1.Query/Payload" => {
                self.reach(Point::Seen);
                let id = QueryPayloadRequest::decode(data).unwrap().task_id;
                let record = &self.tasks[&id];
                found(&QueryPayloadResponse {
                    prompt: record.prompt.clone(),
                    answer: record.answer.clone(),
                })
            }
            "/poq.v1.Query/Task" => {
                let id = QueryTaskRequest::decode(data).unwrap().id;
                found(&QueryTaskResponse {
                    task: Some(self.tasks[&id].task.clone()),
                })
            }
            "/cosmos.auth.v1beta1.Query/Account" => {
                self.reach(Point::Journalled);
                found(&QueryAccountResponse {
                    account: Some(any(&BaseAccount {
                        sequence: self.sequence,
                        ..BaseAccount::default()
                    })),
                })
            }
            other => query_failure(6, "sdk", other),
        }
    }

    fn broadcast(&mut self, params: Value) -> Value {
        let bytes = serde_json::from_value::<tx_sync::Request>(params.clone())
            .unwrap()
            .tx;
        let tx = tx::Tx::decode(bytes.as_slice()).unwrap();
        let sequence = tx.auth_info.unwrap().signer_infos[0].sequence;
        let body = tx.body.unwrap();
        let expected = self.sequence + self.mempool.len() as u64;
        if sequence != expected {
            let log = format!("account sequence mismatch, expected {expected}, got {sequence}");
            return checked(params, code::WRONG_SEQUENCE.number, code::SDK, &log).1;
        }
        let message = body.messages[0].clone();
        let results = self.simulate(&message);
        self.sent.push(results.len());
        let done = results.iter().filter(|code| **code == 0).count();
        if done * 2 < results.len() {
            self.mostly_failing.push(results.len());
            return checked(params, code::MOSTLY_FAILING.number, code::POQ, "").1;
        }
        let arrives = self.reach(Point::Signed);
        if self.lose > 0 {
            self.lose -= 1;
        } else if arrives {
            self.mempool.push(Pending {
                hash: TxHash::of(&bytes),
                message,
                timeout_height: body.timeout_height,
            });
            self.reach(Point::Sent);
        }
        checked(params, 0, "", "").1
    }

    /// Codes of the items after those in the mempool.
    fn simulate(&mut self, message: &Any) -> Vec<u32> {
        let tasks = self.tasks.clone();
        let waiting: Vec<Any> = self.mempool.iter().map(|one| one.message.clone()).collect();
        for message in &waiting {
            self.execute(message);
        }
        let results = self.execute(message);
        self.tasks = tasks;
        results
    }

    fn tx(&self, params: Value) -> RpcResult {
        let request: tx_query::Request = serde_json::from_value(params).unwrap();
        let hash = TxHash(request.hash.as_bytes().try_into().unwrap());
        let Some((height, data)) = self.txs.get(&hash) else {
            return Err(format!("tx ({hash}) not found"));
        };
        Ok(json!({
            "hash": hash.to_string(), "height": height.to_string(), "index": 0, "tx": "",
            "tx_result": {
                "code": 0, "data": data, "log": "", "info": "", "gas_wanted": "0",
                "gas_used": "0", "events": [], "codespace": ""
            }
        }))
    }
}

fn unpack<M: Message + Name + Default>(message: &Any) -> Option<M> {
    (message.type_url == format!("/{}", M::full_name()))
        .then(|| M::decode(message.value.as_slice()).unwrap())
}

/// A transaction's data in base64, as the node returns it.
fn data(message: &Any, codes: Vec<u32>) -> Value {
    let results: Vec<ItemResult> = codes
        .into_iter()
        .map(|code| ItemResult {
            code,
            ..ItemResult::default()
        })
        .collect();
    let response = match message.type_url.rsplit('.').next() {
        Some("MsgSubmitAnswers") => any(&MsgSubmitAnswersResponse { results }),
        Some("MsgCommitScores") => any(&MsgCommitScoresResponse { results }),
        _ => any(&MsgRevealScoresResponse { results }),
    };
    let data = TxMsgData {
        msg_responses: vec![response],
        ..TxMsgData::default()
    };
    found(&data)["response"]["value"].clone()
}
