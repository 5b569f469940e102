use crate::ask::Misfit;
use crate::keys::{NoHold, Short};
use crate::store;

/// Why a request has no answer, or no whole one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// All nodes have as many orders as they take.
    #[error("all nodes are busy; try again in a few seconds")]
    Busy,
    /// No node took the order.
    #[error("no node took the request: {0}; try again")]
    NoNode(String),
    /// The first session for the model is being opened.
    #[error("sessions with nodes of the model are being opened; try again in a few seconds")]
    Opening,
    /// The gateway's account has too little money.
    #[error("the gateway's account cannot pay for sessions; its operator must fund it")]
    Poor,
    /// The key's group has too little credit.
    #[error(transparent)]
    NoCredit(#[from] Box<Short>),
    /// No block was made for a while.
    #[error("the chain makes no blocks at the moment; try again later")]
    Halted,
    /// The chat does not fit.
    #[error("{0}")]
    Misfit(#[from] Misfit),
    /// The node does not take the chat; `is_quality` if because of the demanded quality.
    #[error("{message}")]
    Declined {
        /// The node's reason.
        message: String,
        /// Whether `min_quality` is too high for it.
        is_quality: bool,
    },
    /// The node was lost after it began.
    #[error("the node was lost in the middle of its answer; nothing is charged")]
    Lost,
    /// The receipt does not prove the answer.
    #[error("the node's receipt is not valid for its answer: {0}; nothing is charged")]
    InvalidReceipt(String),
    /// No word came in time.
    #[error("the node did not answer in time; ask for less")]
    Late,
    /// The store failed.
    #[error("the gateway cannot store the request; its operator must look into its log")]
    Internal,
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        tracing::error!("{error}");
        Self::Internal
    }
}

impl From<NoHold> for Failure {
    fn from(reason: NoHold) -> Self {
        match reason {
            NoHold::Short(short) => short.into(),
            NoHold::Store(error) => error.into(),
        }
    }
}
