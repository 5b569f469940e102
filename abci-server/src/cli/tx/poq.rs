//! `poqd tx poq`: tasks, nodes and validators.

use poq_client::any;
use poq_proto::v1::{
    MsgAddStake, MsgCancelTask, MsgChallenge, MsgCommitScores, MsgRegisterEvaluator,
    MsgRegisterInferenceNode, MsgRegisterValidator, MsgRevealScores, MsgSetVrfKey,
    MsgSubmitAnswers, MsgUnbond, MsgUnjail, MsgUpdateNode, Role,
};

use super::account::Account;
use super::authority::Authority;
use super::duties::Duties;
use super::sessions::Sessions;
use super::stream::StreamFlags;
use super::submit::SubmitTask;
use crate::cli::coin::Coin;
use crate::cli::role::{StakeRole, WorkerRole};
use crate::home::Home;
use crate::home::validator_keys::{
    PublicKey, VrfPublicKey, chosen_key, public_key, validator_keys, vrf_public_key,
};

/// Commands of `tx poq`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Poq {
    /// Ask a question and escrow its maximum cost.
    SubmitTask(SubmitTask),
    /// Cancel a task of the signer that has no answer yet.
    CancelTask {
        /// Id of the task.
        id: u64,
    },
    /// Challenge the scores of a settled task, so that every validator recomputes them. The deposit is
    /// returned with a reward if a score was wrong, and is burnt otherwise.
    Challenge {
        /// Id of the task.
        id: u64,
        /// Deposit, for example 1000000upoq; at least the parameter `min_challenge_deposit`.
        #[arg(long)]
        deposit: Coin,
    },
    /// Register the signer as an inference node and stake.
    RegisterInferenceNode {
        /// Ids of the models that it serves, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        models: Vec<String>,
        /// Stake, for example 1000000upoq.
        #[arg(long)]
        stake: Coin,
        /// URL at which users may reach the node directly.
        #[arg(long, default_value = "")]
        endpoint: String,
        /// Payout address; default: the signer's.
        #[arg(long, default_value = "")]
        payout: String,
        /// Duties that the node takes at once and can do in time; 0 means 64.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        capacity: u32,
    },
    /// Register the signer as an evaluator and stake.
    RegisterEvaluator {
        /// Ids of the evaluator models that it runs, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        evaluator_models: Vec<String>,
        /// Stake, for example 1000000upoq.
        #[arg(long)]
        stake: Coin,
        /// Payout address; default: the signer's.
        #[arg(long, default_value = "")]
        payout: String,
        /// Duties that the node takes at once and can do in time; 0 means 64.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        capacity: u32,
    },
    /// Register the signer as a validator and stake; the authority gives it power.
    RegisterValidator {
        /// Stake, for example 1000000upoq.
        #[arg(long)]
        stake: Coin,
        /// Ed25519 consensus key, base64; default: that of this home's node.
        #[arg(long, value_name = "BASE64", value_parser = public_key)]
        public_key: Option<PublicKey>,
        /// VRF key, base64; default: the newest of this home's node, unless --public-key is given.
        #[arg(long, value_name = "BASE64", value_parser = vrf_public_key)]
        vrf_key: Option<VrfPublicKey>,
        /// Payout address; default: the signer's.
        #[arg(long, default_value = "")]
        payout: String,
    },
    /// Change the VRF key of the signer's validator; takes effect some blocks later.
    SetVrfKey {
        /// VRF key, base64; default: the newest key of this home's node.
        #[arg(long, value_name = "BASE64", value_parser = vrf_public_key)]
        vrf_key: Option<VrfPublicKey>,
    },
    /// Change the declared fields of the signer's node; fields that are not given stay.
    UpdateNode {
        /// Role of the node.
        role: WorkerRole,
        /// Ids of the models or evaluator models, separated by commas.
        #[arg(long, value_delimiter = ',')]
        models: Option<Vec<String>>,
        /// URL at which users may reach an inference node directly.
        #[arg(long)]
        endpoint: Option<String>,
        /// Payout address.
        #[arg(long)]
        payout: Option<String>,
        /// Duties that the node takes at once.
        #[arg(long)]
        capacity: Option<u32>,
        #[command(flatten)]
        stream: StreamFlags,
    },
    /// Move coins from the signer's balance to the stake of its node.
    AddStake {
        /// Role of the node.
        role: StakeRole,
        /// Amount, for example 1000000upoq.
        amount: Coin,
    },
    /// Start to withdraw stake; a node leaves by withdrawing all of it.
    Unbond {
        /// Role of the node.
        role: StakeRole,
        /// Amount, for example 1000000upoq.
        amount: Coin,
    },
    /// Unjail the signer's node, once its jail time is over.
    Unjail {
        /// Role of the node.
        role: StakeRole,
    },
    /// Submit answers to tasks assigned to the signer; free of fees.
    SubmitAnswers(Duties),
    /// Commit to scores of tasks assigned to the signer; free of fees.
    CommitScores(Duties),
    /// Reveal scores to which the signer committed; free of fees.
    RevealScores(Duties),
    #[command(flatten)]
    Sessions(Sessions),
    #[command(flatten)]
    Authority(Authority),
}

impl Poq {
    pub(super) async fn run(self, account: &Account, home: &Home) -> anyhow::Result<()> {
        let operator = account.address().to_owned();
        let message = match self {
            Self::SubmitTask(command) => return command.run(account).await,
            Self::Sessions(command) => return command.run(account).await,
            Self::Authority(command) => return command.run(account, home).await,
            Self::SubmitAnswers(duties) => {
                let message: MsgSubmitAnswers = duties.read()?;
                let message = any(&MsgSubmitAnswers {
                    operator,
                    ..message
                });
                return account.execute_duty(message).await;
            }
            Self::CommitScores(duties) => {
                let message: MsgCommitScores = duties.read()?;
                let message = any(&MsgCommitScores {
                    operator,
                    ..message
                });
                return account.execute_duty(message).await;
            }
            Self::RevealScores(duties) => {
                let message: MsgRevealScores = duties.read()?;
                let message = any(&MsgRevealScores {
                    operator,
                    ..message
                });
                return account.execute_duty(message).await;
            }
            Self::CancelTask { id } => any(&MsgCancelTask {
                user: operator,
                task_id: id,
            }),
            Self::Challenge { id, deposit } => any(&MsgChallenge {
                challenger: operator,
                task_id: id,
                deposit: account.base_units(&deposit)?,
            }),
            Self::RegisterInferenceNode {
                models,
                stake,
                endpoint,
                payout,
                capacity,
            } => any(&MsgRegisterInferenceNode {
                operator,
                payout,
                endpoint,
                models: sorted(models),
                stake: account.base_units(&stake)?,
                capacity,
            }),
            Self::RegisterEvaluator {
                evaluator_models,
                stake,
                payout,
                capacity,
            } => any(&MsgRegisterEvaluator {
                operator,
                payout,
                evaluator_models: sorted(evaluator_models),
                stake: account.base_units(&stake)?,
                capacity,
            }),
            Self::RegisterValidator {
                stake,
                public_key,
                vrf_key,
                payout,
            } => {
                let (public_key, vrf_key) = validator_keys(public_key, vrf_key, home)?;
                any(&MsgRegisterValidator {
                    operator,
                    payout,
                    public_key,
                    vrf_key,
                    stake: account.base_units(&stake)?,
                })
            }
            Self::SetVrfKey { vrf_key } => any(&MsgSetVrfKey {
                operator,
                vrf_key: chosen_key(vrf_key, home)?,
            }),
            Self::UpdateNode {
                role,
                models,
                endpoint,
                payout,
                capacity,
                stream,
            } => {
                let node = account.client.node(role.into(), account.address()).await?;
                any(&MsgUpdateNode {
                    operator: node.operator,
                    role: node.role,
                    payout: payout.unwrap_or(node.payout),
                    endpoint: endpoint.unwrap_or(node.endpoint),
                    models: models.map_or(node.models, sorted),
                    capacity: capacity.unwrap_or(node.capacity),
                    stream: stream.applied_to(node.stream)?,
                })
            }
            Self::AddStake { role, amount } => any(&MsgAddStake {
                operator,
                role: Role::from(role).into(),
                amount: account.base_units(&amount)?,
            }),
            Self::Unbond { role, amount } => any(&MsgUnbond {
                operator,
                role: Role::from(role).into(),
                amount: account.base_units(&amount)?,
            }),
            Self::Unjail { role } => any(&MsgUnjail {
                operator,
                role: Role::from(role).into(),
            }),
        };
        account.execute(message).await
    }
}

/// Sorted ids without duplicates, as the chain requires them.
pub(in crate::cli) fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids.dedup();
    ids
}
