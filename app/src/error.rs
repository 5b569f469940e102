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

    /// An arithmetic or logical invariant does not hold; a bug of this application.
    pub fn internal(log: impl Into<String>) -> Self {
        Self::rejected(code::INTERNAL, log)
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
