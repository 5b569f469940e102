//! Typed queries. Each is one ABCI query of the newest state unless stated otherwise.

use cosmos_sdk_proto::cosmos::auth::v1beta1::{
    BaseAccount, QueryAccountRequest, QueryAccountResponse,
};
use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest, QueryBalanceResponse,
    QuerySupplyOfRequest, QuerySupplyOfResponse, QueryTotalSupplyRequest, QueryTotalSupplyResponse,
};
use cosmos_sdk_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use cosmos_sdk_proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{SimulateRequest, SimulateResponse};
use poq_proto::v1::{
    Duty, EvaluatorModel, Model, Node, Params, QueryBeaconRequest, QueryBeaconResponse,
    QueryDutiesRequest, QueryDutiesResponse, QueryEvaluatorModelRequest,
    QueryEvaluatorModelResponse, QueryEvaluatorModelsRequest, QueryEvaluatorModelsResponse,
    QueryModelRequest, QueryModelResponse, QueryModelsRequest, QueryModelsResponse,
    QueryNodeRequest, QueryNodeResponse, QueryNodesRequest, QueryNodesResponse, QueryParamsRequest,
    QueryParamsResponse, QueryPayloadRequest, QueryPayloadResponse, QuerySessionRequest,
    QuerySessionResponse, QuerySessionsRequest, QuerySessionsResponse, QueryTaskRequest,
    QueryTaskResponse, QueryTasksRequest, QueryTasksResponse, Role, Session, Task,
};
use prost::{Message, Name};
use serde::Serialize;

use crate::{Answer, Client, Error, Result};

/// Page size when a whole list is read.
const PAGE: u32 = 1000;

/// An account's signing data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Bech32.
    pub address: String,
    /// Unique number of the account; part of what is signed.
    pub account_number: u64,
    /// Transactions of this account so far; the next one must carry this number.
    pub sequence: u64,
    /// Compressed secp256k1 key, or the encoding of a [`Multisig`](crate::Multisig), hex; empty before
    /// the first transaction.
    #[serde(serialize_with = "crate::types::as_hex")]
    pub public_key: Vec<u8>,
}

impl Client {
    /// The consensus parameters.
    pub async fn params(&self) -> Result<Params> {
        let path = "/poq.v1.Query/Params";
        let answer: Answer<QueryParamsResponse> =
            self.query(path, &QueryParamsRequest {}, None).await?;
        present(answer.value.params, path)
    }

    /// A language model of the registry.
    pub async fn model(&self, id: &str) -> Result<Model> {
        let path = "/poq.v1.Query/Model";
        let request = QueryModelRequest { id: id.into() };
        let answer: Answer<QueryModelResponse> = self.query(path, &request, None).await?;
        present(answer.value.model, path)
    }

    /// Language models in the order of their ids, after `after`, at most `limit` (0: 100).
    pub async fn models(&self, after: &str, limit: u32) -> Result<Vec<Model>> {
        let after = after.into();
        let request = QueryModelsRequest { after, limit };
        let answer: Answer<QueryModelsResponse> =
            self.query("/poq.v1.Query/Models", &request, None).await?;
        Ok(answer.value.models)
    }

    /// An evaluator model of the registry.
    pub async fn evaluator_model(&self, id: &str) -> Result<EvaluatorModel> {
        let path = "/poq.v1.Query/EvaluatorModel";
        let request = QueryEvaluatorModelRequest { id: id.into() };
        let answer: Answer<QueryEvaluatorModelResponse> = self.query(path, &request, None).await?;
        present(answer.value.evaluator_model, path)
    }

    /// Evaluator models in the order of their ids, after `after`, at most `limit` (0: 100).
    pub async fn evaluator_models(&self, after: &str, limit: u32) -> Result<Vec<EvaluatorModel>> {
        let path = "/poq.v1.Query/EvaluatorModels";
        let after = after.into();
        let request = QueryEvaluatorModelsRequest { after, limit };
        let answer: Answer<QueryEvaluatorModelsResponse> = self.query(path, &request, None).await?;
        Ok(answer.value.evaluator_models)
    }

    /// A registered operator.
    pub async fn node(&self, role: Role, operator: &str) -> Result<Node> {
        let path = "/poq.v1.Query/Node";
        let request = QueryNodeRequest {
            role: role.into(),
            operator: operator.into(),
        };
        let answer: Answer<QueryNodeResponse> = self.query(path, &request, None).await?;
        present(answer.value.node, path)
    }

    /// Operators of a role in the order of their addresses, after `after`, at most `limit`
    /// (0: 100).
    pub async fn nodes(&self, role: Role, after: &str, limit: u32) -> Result<Vec<Node>> {
        let request = QueryNodesRequest {
            role: role.into(),
            after: after.into(),
            limit,
        };
        let answer: Answer<QueryNodesResponse> =
            self.query("/poq.v1.Query/Nodes", &request, None).await?;
        Ok(answer.value.nodes)
    }

    /// A task.
    pub async fn task(&self, id: u64) -> Result<Task> {
        let path = "/poq.v1.Query/Task";
        let answer: Answer<QueryTaskResponse> =
            self.query(path, &QueryTaskRequest { id }, None).await?;
        present(answer.value.task, path)
    }

    /// Tasks in the order of their ids, of one user or of all, after `after`, at most `limit`
    /// (0: 100).
    pub async fn tasks(&self, user: Option<&str>, after: u64, limit: u32) -> Result<Vec<Task>> {
        let request = QueryTasksRequest {
            user: user.unwrap_or_default().into(),
            after,
            limit,
        };
        let answer: Answer<QueryTasksResponse> =
            self.query("/poq.v1.Query/Tasks", &request, None).await?;
        Ok(answer.value.tasks)
    }

    /// Prompt and answer of a task that is not over.
    pub async fn payload(&self, task_id: u64) -> Result<QueryPayloadResponse> {
        let request = QueryPayloadRequest { task_id };
        let answer = self.query("/poq.v1.Query/Payload", &request, None).await?;
        Ok(answer.value)
    }

    /// The operator's pending duties. `height` is that of the state the first page was read from: a
    /// duty that is not listed was done, or not yet requested, at that height.
    pub async fn duties(&self, role: Role, operator: &str) -> Result<Answer<Vec<Duty>>> {
        let mut duties: Vec<Duty> = Vec::new();
        let mut first_height = None;
        loop {
            let request = QueryDutiesRequest {
                role: role.into(),
                operator: operator.into(),
                after: duties.last().map_or(0, |duty| duty.task_id),
                limit: PAGE,
            };
            let page: Answer<QueryDutiesResponse> =
                self.query("/poq.v1.Query/Duties", &request, None).await?;
            let height = *first_height.get_or_insert(page.height);
            let is_last = page.value.duties.len() < PAGE as usize;
            duties.extend(page.value.duties);
            if is_last {
                return Ok(Answer {
                    value: duties,
                    height,
                });
            }
        }
    }

    /// A session.
    pub async fn session(&self, id: u64) -> Result<Session> {
        let path = "/poq.v1.Query/Session";
        let answer: Answer<QuerySessionResponse> =
            self.query(path, &QuerySessionRequest { id }, None).await?;
        present(answer.value.session, path)
    }

    /// All sessions of a user, by id.
    pub async fn sessions_of_user(&self, user: &str) -> Result<Vec<Session>> {
        Ok(self.sessions(user, "").await?.value)
    }

    /// All open sessions of an inference node, in the order of their ids. `height` is that of the
    /// state the first page was read from.
    pub async fn sessions_of_node(&self, operator: &str) -> Result<Answer<Vec<Session>>> {
        self.sessions("", operator).await
    }

    async fn sessions(&self, user: &str, node: &str) -> Result<Answer<Vec<Session>>> {
        let mut sessions: Vec<Session> = Vec::new();
        let mut first_height = None;
        loop {
            let request = QuerySessionsRequest {
                user: user.into(),
                node: node.into(),
                after: sessions.last().map_or(0, |session| session.id),
                limit: PAGE,
            };
            let path = "/poq.v1.Query/Sessions";
            let page: Answer<QuerySessionsResponse> = self.query(path, &request, None).await?;
            let height = *first_height.get_or_insert(page.height);
            let is_last = page.value.sessions.len() < PAGE as usize;
            sessions.extend(page.value.sessions);
            if is_last {
                return Ok(Answer {
                    value: sessions,
                    height,
                });
            }
        }
    }

    /// The newest beacon.
    pub async fn beacon(&self) -> Result<QueryBeaconResponse> {
        let answer = self
            .query("/poq.v1.Query/Beacon", &QueryBeaconRequest {}, None)
            .await?;
        Ok(answer.value)
    }

    /// An account; not found before it first receives coins.
    pub async fn account(&self, address: &str) -> Result<Account> {
        let path = "/cosmos.auth.v1beta1.Query/Account";
        let request = QueryAccountRequest {
            address: address.into(),
        };
        let answer: Answer<QueryAccountResponse> = self.query(path, &request, None).await?;
        let any = present(answer.value.account, path)?;
        let account: BaseAccount = unpack(&any, path)?;
        let public_key = match &account.pub_key {
            // Accounts store this encoding.
            Some(any) if any.type_url == LegacyAminoPubKey::type_url() => any.value.clone(),
            Some(any) => unpack::<PubKey>(any, path)?.key,
            None => Vec::new(),
        };
        Ok(Account {
            address: account.address,
            account_number: account.account_number,
            sequence: account.sequence,
            public_key,
        })
    }

    /// An account's balance of one denom, in base units.
    pub async fn balance(&self, address: &str, denom: &str) -> Result<u128> {
        let path = "/cosmos.bank.v1beta1.Query/Balance";
        let request = QueryBalanceRequest {
            address: address.into(),
            denom: denom.into(),
        };
        let answer: Answer<QueryBalanceResponse> = self.query(path, &request, None).await?;
        amount(answer.value.balance, path)
    }

    /// All balances of an account, in order of denom.
    pub async fn balances(&self, address: &str) -> Result<Vec<Coin>> {
        let path = "/cosmos.bank.v1beta1.Query/AllBalances";
        let mut coins = Vec::new();
        let mut pagination = None;
        loop {
            #[allow(clippy::needless_update)] // `resolve_denom` and later additions
            let request = QueryAllBalancesRequest {
                address: address.into(),
                pagination,
                ..Default::default()
            };
            let answer: Answer<QueryAllBalancesResponse> = self.query(path, &request, None).await?;
            coins.extend(answer.value.balances);
            pagination = next_page(answer.value.pagination);
            if pagination.is_none() {
                return Ok(coins);
            }
        }
    }

    /// The supply of one denom, in base units.
    pub async fn supply(&self, denom: &str) -> Result<u128> {
        let path = "/cosmos.bank.v1beta1.Query/SupplyOf";
        let request = QuerySupplyOfRequest {
            denom: denom.into(),
        };
        let answer: Answer<QuerySupplyOfResponse> = self.query(path, &request, None).await?;
        amount(answer.value.amount, path)
    }

    /// The supply of every denom.
    pub async fn total_supply(&self) -> Result<Vec<Coin>> {
        let path = "/cosmos.bank.v1beta1.Query/TotalSupply";
        let mut coins = Vec::new();
        let mut pagination = None;
        loop {
            let request = QueryTotalSupplyRequest { pagination };
            let answer: Answer<QueryTotalSupplyResponse> = self.query(path, &request, None).await?;
            coins.extend(answer.value.supply);
            pagination = next_page(answer.value.pagination);
            if pagination.is_none() {
                return Ok(coins);
            }
        }
    }

    /// The gas that this transaction would use if executed on the newest state.
    pub async fn simulate(&self, tx: Vec<u8>) -> Result<u64> {
        let path = "/cosmos.tx.v1beta1.Service/Simulate";
        let request = SimulateRequest {
            tx_bytes: tx,
            ..Default::default()
        };
        let answer: Answer<SimulateResponse> = self.query(path, &request, None).await?;
        present(answer.value.gas_info, path).map(|info| info.gas_used)
    }
}

fn present<T>(value: Option<T>, path: &str) -> Result<T> {
    value.ok_or_else(|| Error::Decode {
        what: path.into(),
        reason: "it is empty".into(),
    })
}

fn unpack<M: Message + Name + Default>(any: &crate::Any, path: &str) -> Result<M> {
    let undecodable = |reason: String| Error::Decode {
        what: path.into(),
        reason,
    };
    if any.type_url != M::type_url() {
        return Err(undecodable(format!(
            "it has a `{}` where a `{}` is expected",
            any.type_url,
            M::type_url()
        )));
    }
    M::decode(any.value.as_slice()).map_err(|error| undecodable(error.to_string()))
}

fn amount(coin: Option<Coin>, path: &str) -> Result<u128> {
    let amount = present(coin, path)?.amount;
    amount.parse().map_err(|_| Error::Decode {
        what: path.into(),
        reason: format!("`{amount}` is not an amount"),
    })
}

fn next_page(page: Option<PageResponse>) -> Option<PageRequest> {
    page.filter(|page| !page.next_key.is_empty())
        .map(|page| PageRequest {
            key: page.next_key,
            ..Default::default()
        })
}
