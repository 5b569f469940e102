//! A chain of one process for tests: the real application, driven block by block through its
//! public interface, with real signatures.
#![allow(dead_code)]

use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    MsgSend, QueryBalanceRequest, QueryBalanceResponse, QuerySupplyOfRequest, QuerySupplyOfResponse,
};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw, mode_info,
};
use k256::ecdsa::signature::Signer;
use k256::ecdsa::{Signature, SigningKey};
use poq_app::{Address, App, Options};
use poq_proto::v1::*;
use prost::{Message, Name};
use tendermint_proto::google::protobuf::Any;
use tendermint_proto::v0_38::abci::{Event, ExecTxResult};

pub const CHAIN_ID: &str = "poq-test-1";
pub const DENOM: &str = "upoq";
pub const MODEL: &str = "llm";
pub const SCORER: &str = "cross-encoder";
pub const GAS: u64 = 400_000;
pub const FUNDS: u64 = 1_000_000_000;
pub const STAKE: u64 = 100_000_000;

/// A key with the sequence that its next transaction must have.
pub struct Wallet {
    pub key: SigningKey,
    pub address: String,
    pub sequence: u64,
    pub number: u64,
}

impl Wallet {
    pub fn new(seed: u8, number: u64) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        let public = key.verifying_key().to_encoded_point(true);
        let address = Address::from_public_key(public.as_bytes(), "poq").unwrap();
        Self {
            key,
            address: address.to_string(),
            sequence: 0,
            number,
        }
    }

    /// Signs with the next sequence and counts it.
    pub fn sign(&mut self, messages: Vec<Any>) -> Vec<u8> {
        let tx = Draft::new(self, messages).sign(self);
        self.sequence += 1;
        tx
    }
}

/// Everything of a transaction that a test may want to bend.
pub struct Draft {
    pub body: TxBody,
    pub auth_info: AuthInfo,
    pub chain_id: String,
    pub number: u64,
}

impl Draft {
    pub fn new(wallet: &Wallet, messages: Vec<Any>) -> Self {
        let public = wallet.key.verifying_key().to_encoded_point(true);
        let mode = mode_info::Single {
            mode: SignMode::Direct.into(),
        };
        Self {
            body: TxBody {
                messages,
                ..TxBody::default()
            },
            auth_info: AuthInfo {
                signer_infos: vec![SignerInfo {
                    public_key: Some(Any {
                        type_url: PubKey::type_url(),
                        value: PubKey {
                            key: public.as_bytes().to_vec(),
                        }
                        .encode_to_vec(),
                    }),
                    mode_info: Some(ModeInfo {
                        sum: Some(mode_info::Sum::Single(mode)),
                    }),
                    sequence: wallet.sequence,
                }],
                fee: Some(Fee {
                    amount: vec![coin(GAS / 100)],
                    gas_limit: GAS,
                    ..Fee::default()
                }),
                ..AuthInfo::default()
            },
            chain_id: CHAIN_ID.into(),
            number: wallet.number,
        }
    }

    pub fn free(mut self) -> Self {
        if let Some(fee) = &mut self.auth_info.fee {
            fee.amount.clear();
        }
        self
    }

    pub fn sign(&self, wallet: &Wallet) -> Vec<u8> {
        let (body_bytes, auth_info_bytes) =
            (self.body.encode_to_vec(), self.auth_info.encode_to_vec());
        let document = SignDoc {
            body_bytes: body_bytes.clone(),
            auth_info_bytes: auth_info_bytes.clone(),
            chain_id: self.chain_id.clone(),
            account_number: self.number,
        };
        let signature: Signature = wallet.key.sign(&document.encode_to_vec());
        TxRaw {
            body_bytes,
            auth_info_bytes,
            signatures: vec![signature.to_bytes().to_vec()],
        }
        .encode_to_vec()
    }
}

pub fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

pub fn coin(amount: u64) -> Coin {
    Coin {
        denom: DENOM.into(),
        amount: amount.to_string(),
    }
}

pub fn send(from: &Wallet, to: &str, amount: u64) -> Any {
    any(&MsgSend {
        from_address: from.address.clone(),
        to_address: to.into(),
        amount: vec![coin(amount)],
    })
}

/// Short windows and no rounding luck.
pub fn params() -> Params {
    Params {
        answer_window: 4,
        commit_window: 3,
        reveal_window: 3,
        audit_window: 2,
        ..poq_app::modules::params::default_params()
    }
}

/// One application with a user, inference nodes and evaluators from genesis.
pub struct Chain {
    pub app: App,
    pub height: u64,
    pub app_hash: [u8; 32],
    pub user: Wallet,
    pub inference: Vec<Wallet>,
    pub evaluators: Vec<Wallet>,
    pub events: Vec<Event>,
    pub folder: tempfile::TempDir,
}

impl Chain {
    pub fn new(inference: u8, evaluators: u8) -> Self {
        Self::with_params(params(), inference, evaluators)
    }

    pub fn with_params(params: Params, inference: u8, evaluators: u8) -> Self {
        Self::with_options(params, Options::default(), inference, evaluators)
    }

    pub fn with_options(params: Params, options: Options, inference: u8, evaluators: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::open(folder.path(), options).unwrap();
        let user = Wallet::new(1, 0);
        let wallets = |first: u8, count: u8, number: u8| {
            (0..count)
                .map(|index| Wallet::new(first + index, (number + index).into()))
                .collect::<Vec<_>>()
        };
        let inference_nodes = wallets(50, inference, 1);
        let evaluator_nodes = wallets(100, evaluators, 1 + inference);
        let genesis = genesis(params, &user, &inference_nodes, &evaluator_nodes);
        let json = serde_json::to_vec(&genesis).unwrap();
        let app_hash = app.init_chain(CHAIN_ID, &json).unwrap();
        let mut chain = Self {
            app,
            height: 0,
            app_hash,
            user,
            inference: inference_nodes,
            evaluators: evaluator_nodes,
            events: Vec::new(),
            folder,
        };
        chain.block(&[]);
        chain
    }

    /// Proposes, processes, finalizes and commits one block, as consensus does.
    pub fn block(&mut self, txs: &[Vec<u8>]) -> Vec<ExecTxResult> {
        let height = self.height + 1;
        let hash = [height as u8; 32];
        let (outcome, app_hash) = self.app.finalize_block(height, &hash, txs).unwrap();
        self.app.commit().unwrap();
        (self.height, self.app_hash, self.events) = (height, app_hash, outcome.events);
        assert_eq!(outcome.results.len(), txs.len());
        outcome.results
    }

    pub fn blocks(&mut self, count: u64) {
        for _ in 0..count {
            self.block(&[]);
        }
    }

    /// Submits a task and returns its id.
    pub fn submit(&mut self) -> u64 {
        let message = submit_message(&self.user);
        let tx = self.user.sign(vec![any(&message)]);
        let results = self.block(&[tx]);
        assert_eq!(results[0].code, 0, "{}", results[0].log);
        self.tasks().last().unwrap().id
    }

    pub fn answer(&mut self, task: u64, answer: &str) -> ExecTxResult {
        let operator = self.task(task).assignments.last().unwrap().operator.clone();
        let wallet = find(&mut self.inference, &operator);
        let message = MsgSubmitAnswers {
            operator,
            items: vec![AnswerItem {
                task_id: task,
                answer: answer.into(),
                ..AnswerItem::default()
            }],
        };
        let tx = wallet.sign(vec![any(&message)]);
        self.block(&[tx]).remove(0)
    }

    /// Everybody in the committee commits to `score`, except the silent ones.
    pub fn commit(&mut self, task: u64, score: i32, silent: &[String]) {
        let record = self.task(task);
        let attempt = record.committees.len() as u32 - 1;
        let mut txs = Vec::new();
        for seat in &record.committees.last().unwrap().seats {
            if !silent.contains(&seat.operator) {
                let wallet = find(&mut self.evaluators, &seat.operator);
                let message = commit_message(wallet, task, attempt, score);
                txs.push(wallet.sign(vec![any(&message)]));
            }
        }
        for result in self.block(&txs) {
            assert_eq!(result.code, 0, "{}", result.log);
        }
    }

    /// Everybody who committed reveals `score`, except the silent ones.
    pub fn reveal(&mut self, task: u64, score: i32, silent: &[String]) {
        let record = self.task(task);
        let mut txs = Vec::new();
        for seat in &record.committees.last().unwrap().seats {
            if !seat.commitment.is_empty() && !silent.contains(&seat.operator) {
                let wallet = find(&mut self.evaluators, &seat.operator);
                let message = reveal_message(wallet, task, score);
                txs.push(wallet.sign(vec![any(&message)]));
            }
        }
        for result in self.block(&txs) {
            assert_eq!(result.code, 0, "{}", result.log);
        }
    }

    pub fn query<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> A {
        let (answer, _) = self
            .app
            .query(path, &request.encode_to_vec(), None)
            .unwrap();
        A::decode(answer.as_slice()).unwrap()
    }

    pub fn task(&self, id: u64) -> Task {
        let answer: QueryTaskResponse = self.query("/poq.v1.Query/Task", &QueryTaskRequest { id });
        answer.task.unwrap()
    }

    pub fn tasks(&self) -> Vec<Task> {
        let request = QueryTasksRequest {
            limit: 1_000,
            ..QueryTasksRequest::default()
        };
        let answer: QueryTasksResponse = self.query("/poq.v1.Query/Tasks", &request);
        answer.tasks
    }

    pub fn nodes(&self, role: Role) -> Vec<Node> {
        let request = QueryNodesRequest {
            role: role.into(),
            limit: 1_000,
            ..QueryNodesRequest::default()
        };
        let answer: QueryNodesResponse = self.query("/poq.v1.Query/Nodes", &request);
        answer.nodes
    }

    pub fn node(&self, role: Role, operator: &str) -> Node {
        self.nodes(role)
            .into_iter()
            .find(|node| node.operator == operator)
            .unwrap()
    }

    pub fn duties(&self, role: Role, operator: &str) -> Vec<Duty> {
        let request = QueryDutiesRequest {
            role: role.into(),
            operator: operator.into(),
            ..QueryDutiesRequest::default()
        };
        let answer: QueryDutiesResponse = self.query("/poq.v1.Query/Duties", &request);
        answer.duties
    }

    pub fn balance(&self, address: &str) -> u128 {
        let request = QueryBalanceRequest {
            address: address.into(),
            denom: DENOM.into(),
        };
        let answer: QueryBalanceResponse =
            self.query("/cosmos.bank.v1beta1.Query/Balance", &request);
        answer.balance.unwrap().amount.parse().unwrap()
    }

    pub fn supply(&self) -> u128 {
        let request = QuerySupplyOfRequest {
            denom: DENOM.into(),
        };
        let answer: QuerySupplyOfResponse =
            self.query("/cosmos.bank.v1beta1.Query/SupplyOf", &request);
        answer.amount.unwrap().amount.parse().unwrap()
    }

    pub fn burnt(&self) -> u128 {
        let (proven, _) = self.app.prove(b"bank/burnt/upoq", None).unwrap();
        proven
            .value
            .map_or(0, |value| u128::from_be_bytes(value.try_into().unwrap()))
    }

    /// Invariant 1 of protocol section 13.
    pub fn assert_money_is_conserved(&self) {
        let protocol = Address::of_module("protocol", "poq").unwrap();
        let wallets = self
            .inference
            .iter()
            .chain(&self.evaluators)
            .chain([&self.user]);
        let balances: u128 = wallets
            .map(|wallet| wallet.address.as_str())
            .chain([protocol.as_str()])
            .map(|address| self.balance(address))
            .sum();
        let escrow: u128 = self
            .tasks()
            .iter()
            .filter(|task| !is_over(task))
            .map(|task| u128::from(task.escrow))
            .sum();
        let stake: u128 = [Role::Inference, Role::Evaluator]
            .into_iter()
            .flat_map(|role| self.nodes(role))
            .map(|node| u128::from(node.stake))
            .sum();
        assert_eq!(self.supply(), balances + escrow + stake);
        let workers = (self.inference.len() + self.evaluators.len()) as u128;
        let genesis = u128::from(FUNDS) * (workers + 1) + u128::from(STAKE) * workers;
        assert_eq!(self.supply() + self.burnt(), genesis);
    }
}

pub fn is_over(task: &Task) -> bool {
    matches!(task.status(), TaskStatus::Final | TaskStatus::Refunded)
}

pub fn find<'w>(wallets: &'w mut [Wallet], address: &str) -> &'w mut Wallet {
    wallets
        .iter_mut()
        .find(|wallet| wallet.address == address)
        .unwrap()
}

pub fn submit_message(user: &Wallet) -> MsgSubmitTask {
    MsgSubmitTask {
        user: user.address.clone(),
        model: MODEL.into(),
        prompt: "What is the capital of France?".into(),
        max_answer_bytes: 1_000,
        max_fee: 50_000,
        ..MsgSubmitTask::default()
    }
}

pub fn commit_message(wallet: &Wallet, task: u64, attempt: u32, score: i32) -> MsgCommitScores {
    let address = Address::parse(&wallet.address, "poq").unwrap();
    let commitment =
        poq_proto::commitment(CHAIN_ID, task, attempt, address.bytes(), score, &[9; 32]);
    MsgCommitScores {
        operator: wallet.address.clone(),
        items: vec![CommitItem {
            task_id: task,
            commitment: commitment.to_vec(),
        }],
    }
}

pub fn reveal_message(wallet: &Wallet, task: u64, score: i32) -> MsgRevealScores {
    MsgRevealScores {
        operator: wallet.address.clone(),
        items: vec![RevealItem {
            task_id: task,
            raw_score: score,
            salt: vec![9; 32],
        }],
    }
}

pub fn genesis(
    params: Params,
    user: &Wallet,
    inference: &[Wallet],
    evaluators: &[Wallet],
) -> GenesisState {
    let account = |wallet: &Wallet| GenesisAccount {
        address: wallet.address.clone(),
        coins: vec![GenesisCoin {
            denom: DENOM.into(),
            amount: FUNDS.to_string(),
        }],
    };
    let node = |role: Role, model: &str, wallet: &Wallet| GenesisNode {
        role: role.into(),
        operator: wallet.address.clone(),
        models: vec![model.into()],
        stake: STAKE,
        ..GenesisNode::default()
    };
    GenesisState {
        validators: Vec::new(),
        params: Some(params),
        accounts: [user]
            .into_iter()
            .chain(inference)
            .chain(evaluators)
            .map(account)
            .collect(),
        models: vec![Model {
            deprecated: false,
            id: MODEL.into(),
            architecture: "llama".into(),
            weights_sha256: "ab".repeat(32),
            context_tokens: 8192,
            base_price: 1_000,
            price_per_prompt_byte: 10,
            price_per_answer_byte: 40,
            quality_floor: 200_000,
            quality_target: 700_000,
            evaluator_models: vec![WeightedEvaluatorModel {
                id: SCORER.into(),
                weight: 1,
            }],
        }],
        evaluator_models: vec![EvaluatorModel {
            deprecated: false,
            id: SCORER.into(),
            kind: EvaluatorKind::CrossEncoder.into(),
            weights_sha256: "cd".repeat(32),
            tokenizer_sha256: "ef".repeat(32),
            max_tokens: 512,
            calibration: vec![
                CalibrationPoint {
                    raw_score: -10_000_000,
                    quality: 0,
                },
                CalibrationPoint {
                    raw_score: 10_000_000,
                    quality: 1_000_000,
                },
            ],
            audit_tolerance: 1_000,
        }],
        nodes: inference
            .iter()
            .map(|wallet| node(Role::Inference, MODEL, wallet))
            .chain(
                evaluators
                    .iter()
                    .map(|wallet| node(Role::Evaluator, SCORER, wallet)),
            )
            .collect(),
    }
}
