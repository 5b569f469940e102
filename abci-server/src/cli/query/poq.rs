//! `poqd query poq`.

use poq_proto::v1::{
    QueryAuditsRequest, QueryAuditsResponse, QueryBeaconRequest, QueryBeaconResponse,
    QueryDutiesRequest, QueryDutiesResponse, QueryEvaluatorModelRequest,
    QueryEvaluatorModelResponse, QueryEvaluatorModelsRequest, QueryEvaluatorModelsResponse,
    QueryModelRequest, QueryModelResponse, QueryModelsRequest, QueryModelsResponse,
    QueryNodeRequest, QueryNodeResponse, QueryNodesRequest, QueryNodesResponse, QueryParamsRequest,
    QueryParamsResponse, QueryPayloadRequest, QueryPayloadResponse, QuerySessionRequest,
    QuerySessionResponse, QuerySessionsRequest, QuerySessionsResponse, QueryTasksRequest,
    QueryTasksResponse, QueryValidatorRequest, QueryValidatorResponse, QueryValidatorsRequest,
    QueryValidatorsResponse,
};

use super::Node;
use super::draw::Draw;
use super::{answer, task};
use crate::cli::role::WorkerRole;

/// Commands of `query poq`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Poq {
    /// The parameters.
    Params,
    /// A task with its history, its draws and the computation of each amount.
    Task {
        /// Id of the task.
        id: u64,
    },
    /// Repeat the draws of a task, or that of a session's node, from the states of their heights.
    Draw(Draw),
    /// Tasks in the order of their ids.
    Tasks {
        /// Only tasks of this user.
        #[arg(long, default_value = "", value_name = "ADDRESS")]
        user: String,
        /// Only tasks after this one.
        #[arg(long, default_value_t = 0, value_name = "ID")]
        after: u64,
        /// Largest number of results, up to 1000.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// The answer to a task, even after the task is over, read from its block and checked against the
    /// record.
    Answer {
        /// Id of the task.
        task: u64,
    },
    /// Prompt and answer of an open task.
    Payload {
        /// Id of the task.
        task: u64,
    },
    /// A session: its node, its settlement, the leaves that are scored, and its payment.
    Session {
        /// Id of the session.
        id: u64,
    },
    /// Sessions in the order of their ids.
    Sessions {
        /// Only sessions of this user.
        #[arg(long, default_value = "", value_name = "ADDRESS", conflicts_with = "operator")]
        user: String,
        /// Only sessions of this inference node that are not over.
        #[arg(long, default_value = "", value_name = "ADDRESS")]
        operator: String,
        /// Only sessions after this one.
        #[arg(long, default_value_t = 0, value_name = "ID")]
        after: u64,
        /// Largest number of results, up to 1000.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Tasks whose scores are being audited, in the order in which the results are used.
    Audits {
        /// Only audits after this one: HEIGHT/TASK, as listed.
        #[arg(long, value_name = "HEIGHT/TASK", value_parser = audit_key, default_value = "0/0")]
        after: AuditKey,
        /// Largest number of results, up to 1000.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// A language model.
    Model {
        /// Id of the model.
        id: String,
    },
    /// The language models.
    Models(Page),
    /// An evaluator model.
    EvaluatorModel {
        /// Id of the model.
        id: String,
    },
    /// The evaluator models.
    EvaluatorModels(Page),
    /// A registered operator.
    Node {
        /// Role of the operator.
        role: WorkerRole,
        /// Address of the operator.
        operator: String,
    },
    /// The registered operators.
    Nodes {
        /// Role of the operators.
        role: WorkerRole,
        #[command(flatten)]
        page: Page,
    },
    /// The pending duties of an operator.
    Duties {
        /// Role of the operator.
        role: WorkerRole,
        /// Address of the operator.
        operator: String,
    },
    /// A registered validator.
    Validator {
        /// Address of its operator.
        operator: String,
    },
    /// The registered validators.
    Validators(Page),
    /// The newest beacon.
    Beacon,
}

/// A page of a list.
#[derive(Debug, clap::Args)]
pub(super) struct Page {
    /// Only entries after this key.
    #[arg(long, default_value = "", value_name = "KEY")]
    after: String,
    /// Largest number of results, up to 1000.
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

/// A scheduled audit in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AuditKey {
    height: u64,
    task: u64,
}

fn audit_key(text: &str) -> Result<AuditKey, String> {
    let parsed = text.split_once('/').and_then(|(height, task)| {
        Some(AuditKey {
            height: height.parse().ok()?,
            task: task.parse().ok()?,
        })
    });
    parsed.ok_or_else(|| "expected a height and the id of a task, for example 120/7".into())
}

/// Asks a method of `poq.v1.Query`, whose types are named after it.
macro_rules! ask {
    ($node:ident, $method:literal, $request:expr, $response:ty) => {
        $node
            .ask::<_, $response>(concat!("/poq.v1.Query/", $method), &$request)
            .await
    };
}

impl Poq {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        match self {
            Self::Params => ask!(node, "Params", QueryParamsRequest {}, QueryParamsResponse),
            Self::Task { id } => task::run(node, id).await,
            Self::Answer { task } => answer::run(node, task).await,
            Self::Draw(draw) => draw.run(node).await,
            Self::Tasks { user, after, limit } => {
                let request = QueryTasksRequest { user, after, limit };
                ask!(node, "Tasks", request, QueryTasksResponse)
            }
            Self::Session { id } => {
                ask!(
                    node,
                    "Session",
                    QuerySessionRequest { id },
                    QuerySessionResponse
                )
            }
            Self::Sessions {
                user,
                operator,
                after,
                limit,
            } => {
                let request = QuerySessionsRequest {
                    user,
                    node: operator,
                    after,
                    limit,
                };
                ask!(node, "Sessions", request, QuerySessionsResponse)
            }
            Self::Payload { task } => {
                let request = QueryPayloadRequest { task_id: task };
                ask!(node, "Payload", request, QueryPayloadResponse)
            }
            Self::Model { id } => ask!(node, "Model", QueryModelRequest { id }, QueryModelResponse),
            Self::Models(Page { after, limit }) => {
                let request = QueryModelsRequest { after, limit };
                ask!(node, "Models", request, QueryModelsResponse)
            }
            Self::EvaluatorModel { id } => {
                let request = QueryEvaluatorModelRequest { id };
                ask!(node, "EvaluatorModel", request, QueryEvaluatorModelResponse)
            }
            Self::EvaluatorModels(Page { after, limit }) => {
                let request = QueryEvaluatorModelsRequest { after, limit };
                ask!(
                    node,
                    "EvaluatorModels",
                    request,
                    QueryEvaluatorModelsResponse
                )
            }
            Self::Node { role, operator } => {
                let role = role.into();
                ask!(
                    node,
                    "Node",
                    QueryNodeRequest { role, operator },
                    QueryNodeResponse
                )
            }
            Self::Nodes { role, page } => {
                let request = QueryNodesRequest {
                    role: role.into(),
                    after: page.after,
                    limit: page.limit,
                };
                ask!(node, "Nodes", request, QueryNodesResponse)
            }
            Self::Duties { role, operator } => {
                let request = QueryDutiesRequest {
                    role: role.into(),
                    operator,
                    ..Default::default()
                };
                ask!(node, "Duties", request, QueryDutiesResponse)
            }
            Self::Audits { after, limit } => {
                let request = QueryAuditsRequest {
                    after_height: after.height,
                    after_task_id: after.task,
                    limit,
                };
                ask!(node, "Audits", request, QueryAuditsResponse)
            }
            Self::Validator { operator } => {
                let request = QueryValidatorRequest { operator };
                ask!(node, "Validator", request, QueryValidatorResponse)
            }
            Self::Validators(Page { after, limit }) => {
                let request = QueryValidatorsRequest { after, limit };
                ask!(node, "Validators", request, QueryValidatorsResponse)
            }
            Self::Beacon => ask!(node, "Beacon", QueryBeaconRequest {}, QueryBeaconResponse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audits_are_listed_after_a_height_and_a_task() {
        let key = AuditKey {
            height: 120,
            task: 7,
        };
        assert_eq!(audit_key("120/7"), Ok(key));
        for bad in ["", "120", "120/", "/7", "-1/7", "120/7/1"] {
            assert!(audit_key(bad).is_err(), "{bad}");
        }
    }
}
