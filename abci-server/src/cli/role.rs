//! Roles of operators on the command line.

use poq_proto::v1::Role;

/// The role of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum WorkerRole {
    /// Answers.
    Inference,
    /// Scores.
    Evaluator,
}

/// A role with a stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum StakeRole {
    /// Answers.
    Inference,
    /// Scores.
    Evaluator,
    /// Takes part in consensus.
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

impl From<WorkerRole> for i32 {
    fn from(role: WorkerRole) -> Self {
        Role::from(role).into()
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
