//! `poqd tx poq`: tasks, nodes and validators.

use std::path::PathBuf;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use poq_client::{Any, any};
use poq_proto::v1::{
    MsgAddStake, MsgCancelTask, MsgChallenge, MsgCommitScores, MsgRegisterEvaluator,
    MsgRegisterInferenceNode, MsgRegisterValidator, MsgRevealScores, MsgSubmitAnswers, MsgUnbond,
    MsgUnjail, MsgUpdateNode, Role,
};

use super::account::Account;
use super::authority::{Authority, read_message};
use super::submit::SubmitTask;
use crate::coin::Coin;
use crate::home::Home;

/// Commands of `tx poq`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Poq {
    /// Ask a question and escrow the most that it may cost.
    SubmitTask(SubmitTask),
    /// Take back a question of the signer that has no answer yet.
    CancelTask {
        /// Id of the task.
        id: u64,
    },
    /// Challenge the scores of a settled task: every validator recomputes them. The deposit comes
    /// back with a reward if one was wrong, and is burnt otherwise.
    Challenge {
        /// Id of the task.
        id: u64,
        /// For example 1000000upoq; at least the parameter `min_challenge_deposit`.
        #[arg(long)]
        deposit: Coin,
    },
    /// Register the signer as an inference node and stake.
    RegisterInferenceNode {
        /// Ids of the models that it serves, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        models: Vec<String>,
        /// For example 1000000upoq.
        #[arg(long)]
        stake: Coin,
        /// Where users may reach it directly.
        #[arg(long, default_value = "")]
        endpoint: String,
        /// Address that earns; default: the signer's.
        #[arg(long, default_value = "")]
        payout: String,
    },
    /// Register the signer as an evaluator and stake.
    RegisterEvaluator {
        /// Ids of the evaluator models that it runs, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        evaluator_models: Vec<String>,
        /// For example 1000000upoq.
        #[arg(long)]
        stake: Coin,
        /// Address that earns; default: the signer's.
        #[arg(long, default_value = "")]
        payout: String,
    },
    /// Register the signer as a validator and stake; the authority gives it power.
    RegisterValidator {
        /// For example 1000000upoq.
        #[arg(long)]
        stake: Coin,
        /// Ed25519 key of consensus, base64; default: that of this home's node.
        #[arg(long, value_name = "BASE64", value_parser = public_key)]
        public_key: Option<PublicKey>,
        /// Address that earns; default: the signer's.
        #[arg(long, default_value = "")]
        payout: String,
    },
    /// Change what the signer declared of its node; what is not given stays.
    UpdateNode {
        /// Which of its nodes.
        role: WorkerRole,
        /// Ids of the models or evaluator models, separated by commas.
        #[arg(long, value_delimiter = ',')]
        models: Option<Vec<String>>,
        /// Where users may reach an inference node directly.
        #[arg(long)]
        endpoint: Option<String>,
        /// Address that earns.
        #[arg(long)]
        payout: Option<String>,
    },
    /// Move money from the signer's balance to the stake of its node.
    AddStake {
        /// Which of its nodes.
        role: StakeRole,
        /// For example 1000000upoq.
        amount: Coin,
    },
    /// Start to take stake back; all of it is how a node leaves.
    Unbond {
        /// Which of its nodes.
        role: StakeRole,
        /// For example 1000000upoq.
        amount: Coin,
    },
    /// End the jailing of the signer's node, once its time is over.
    Unjail {
        /// Which of its nodes.
        role: StakeRole,
    },
    /// Hand in answers that the chain asked the signer for; free of fees.
    SubmitAnswers(Duties),
    /// Commit to scores that the chain asked the signer for; free of fees.
    CommitScores(Duties),
    /// Open commitments of the signer; free of fees.
    RevealScores(Duties),
    #[command(flatten)]
    Authority(Authority),
}

/// Flags of the commands that do duties by hand.
#[derive(Debug, clap::Args)]
pub(super) struct Duties {
    /// The message as proto3 JSON, {"items": […]}; - is the standard input.
    file: PathBuf,
}

/// A node that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::commands) enum WorkerRole {
    /// Answers.
    Inference,
    /// Scores.
    Evaluator,
}

/// Something that stakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum StakeRole {
    /// Answers.
    Inference,
    /// Scores.
    Evaluator,
    /// Makes blocks.
    Validator,
}

impl From<WorkerRole> for Role {
    fn from(role: WorkerRole) -> Self {
        match role {
            WorkerRole::Inference => Self::Inference,
            WorkerRole::Evaluator => Self::Evaluator,
        }
    }
}

impl From<StakeRole> for Role {
    fn from(role: StakeRole) -> Self {
        match role {
            StakeRole::Inference => Self::Inference,
            StakeRole::Evaluator => Self::Evaluator,
            StakeRole::Validator => Self::Validator,
        }
    }
}

impl Poq {
    pub(super) async fn run(self, account: &Account, home: &Home) -> anyhow::Result<()> {
        let operator = account.address().to_owned();
        let message = match self {
            Self::SubmitTask(command) => return command.run(account).await,
            Self::Authority(command) => return command.run(account).await,
            Self::SubmitAnswers(duties) => {
                let message: MsgSubmitAnswers = read_message(&duties.file, None)?;
                let message = any(&MsgSubmitAnswers {
                    operator,
                    ..message
                });
                return account.execute_duty(message).await;
            }
            Self::CommitScores(duties) => {
                let message: MsgCommitScores = read_message(&duties.file, None)?;
                let message = any(&MsgCommitScores {
                    operator,
                    ..message
                });
                return account.execute_duty(message).await;
            }
            Self::RevealScores(duties) => {
                let message: MsgRevealScores = read_message(&duties.file, None)?;
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
            } => any(&MsgRegisterInferenceNode {
                operator,
                payout,
                endpoint,
                models: sorted(models),
                stake: account.base_units(&stake)?,
            }),
            Self::RegisterEvaluator {
                evaluator_models,
                stake,
                payout,
            } => any(&MsgRegisterEvaluator {
                operator,
                payout,
                evaluator_models: sorted(evaluator_models),
                stake: account.base_units(&stake)?,
            }),
            Self::RegisterValidator {
                stake,
                public_key,
                payout,
            } => any(&MsgRegisterValidator {
                operator,
                payout,
                public_key: match public_key {
                    Some(PublicKey(key)) => key,
                    None => own_key(home)?,
                },
                stake: account.base_units(&stake)?,
            }),
            Self::UpdateNode {
                role,
                models,
                endpoint,
                payout,
            } => update_node(account, role.into(), models, endpoint, payout).await?,
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

/// What the chain has of the node, with the changes.
async fn update_node(
    account: &Account,
    role: Role,
    models: Option<Vec<String>>,
    endpoint: Option<String>,
    payout: Option<String>,
) -> anyhow::Result<Any> {
    let node = account.client.node(role, account.address()).await?;
    Ok(any(&MsgUpdateNode {
        operator: node.operator,
        role: role.into(),
        payout: payout.unwrap_or(node.payout),
        endpoint: endpoint.unwrap_or(node.endpoint),
        models: models.map_or(node.models, sorted),
    }))
}

/// Bytes of a consensus key. A `Vec` of its own would be a list of values to clap.
#[derive(Clone, Debug)]
pub(in crate::commands) struct PublicKey(pub(in crate::commands) Vec<u8>);

pub(in crate::commands) fn public_key(text: &str) -> Result<PublicKey, String> {
    match BASE64.decode(text) {
        Ok(key) if key.len() == 32 => Ok(PublicKey(key)),
        _ => Err("expected 32 bytes in base64, as `value` in priv_validator_key.json".into()),
    }
}

/// The consensus key of the node in this home.
pub(in crate::commands) fn own_key(home: &Home) -> anyhow::Result<Vec<u8>> {
    let path = home.validator_key();
    let name = path.display();
    let json = std::fs::read(&path).with_context(|| {
        format!("cannot read {name}; choose the node's --home or give --public-key")
    })?;
    let file: serde_json::Value =
        serde_json::from_slice(&json).with_context(|| format!("{name} is not valid"))?;
    file.pointer("/pub_key/value")
        .and_then(serde_json::Value::as_str)
        .and_then(|text| public_key(text).ok())
        .map(|PublicKey(key)| key)
        .with_context(|| format!("{name} has no Ed25519 public key"))
}

/// Ids as the chain keeps them.
pub(in crate::commands) fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_home_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let error = own_key(&home).unwrap_err();
        assert!(error.to_string().contains("--public-key"), "{error}");
        std::fs::create_dir(home.config()).unwrap();
        let value = BASE64.encode([7; 32]);
        let json = serde_json::json!({"pub_key": {"type": "t", "value": value}});
        std::fs::write(home.validator_key(), json.to_string()).unwrap();
        assert_eq!(own_key(&home).unwrap(), [7; 32]);
        std::fs::write(home.validator_key(), "{}").unwrap();
        assert!(own_key(&home).is_err());
    }

    #[test]
    fn public_keys_have_32_bytes() {
        assert!(public_key(&BASE64.encode([1; 32])).is_ok());
        assert!(public_key(&BASE64.encode([1; 31])).is_err());
        assert!(public_key("?").is_err());
    }
}
