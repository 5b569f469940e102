use poq_proto::code::{self, Code};
use poq_store::StoreError;
use thiserror::Error;

/// Why a transaction, a query or a genesis was not carried out.
#[derive(Debug, Error)]
pub enum Error {
    /// The input is at fault. The code enters consensus, the text does not.
    #[error("{log}")]
    Rejected {
        /// Stable code and codespace.
        code: Code,
        /// What happened, to what, and what to do next.
        log: String,
    },
    /// An invariant does not hold: a bug of this application. Every node finds it at the same
    /// place, so the chain continues: the transaction fails with [`code::INTERNAL`], or the step is
    /// set aside.
    #[error("{0}")]
    Broken(String),
    /// The node's own storage failed. The node must stop: it can no longer follow consensus.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node's own reference evaluator failed. The node must stop: it can no longer follow
    /// consensus.
    #[error("cannot audit task {task}: {reason}")]
    Audit {
        /// The audited task.
        task: u64,
        /// What failed, and what to do next.
        reason: String,
    },
}

/// Result of everything that reads or changes the state.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A rejection with a stable code.
    pub fn rejected(code: Code, log: impl Into<String>) -> Self {
        Self::Rejected {
            code,
            log: log.into(),
        }
    }

    /// An invariant that does not hold.
    pub fn broken(log: impl Into<String>) -> Self {
        Self::Broken(log.into())
    }

    /// The code of an error that every node gets in the same way, after which the chain continues.
    /// None if only this node has the error and must stop.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Rejected { code, .. } => Some(*code),
            Self::Broken(_) => Some(code::INTERNAL),
            Self::Store(_) | Self::Audit { .. } => None,
        }
    }

    /// Whether every node gets this error in the same way, so that a failed step may be set aside.
    pub fn is_deterministic(&self) -> bool {
        self.code().is_some()
    }
}

/// Returns a rejection: `reject!(code::UNKNOWN_TASK, "task {id} does not exist")`.
macro_rules! reject {
    ($code:expr, $($format:tt)*) => {
        return Err($crate::error::Error::rejected($code, format!($($format)*)))
    };
}

/// Returns a rejection unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $code:expr, $($format:tt)*) => {
        if !$condition {
            $crate::error::reject!($code, $($format)*)
        }
    };
}

pub(crate) use {ensure, reject};
