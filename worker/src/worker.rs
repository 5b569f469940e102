use std::future::Future;

use poq_client::Any;
use poq_proto::v1::Duty;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::{Asker, Key, Seat, Step};

/// What a worker has of its own: how a duty is done, what message hands it in, and when only a
/// restart helps. Which duties are its own say [`Settings`](crate::Settings).
pub trait Worker: Send + Sync + 'static {
    /// What doing a duty makes, an answer or a score with its salt: kept in the journal, then handed in.
    type Product: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Does a duty. Returns soon after [`Job::stop`]: with what there is by then, or with nothing.
    fn perform(
        &self,
        job: Job<Self::Product>,
    ) -> impl Future<Output = Result<Self::Product, Undone>> + Send;

    /// The message that hands in the products of duties of one step.
    fn message(&self, step: Step, products: &[(Seat, &Self::Product)]) -> Any;

    /// Waits until only a new process can do duties again, and returns why.
    fn lost(&self) -> impl Future<Output = String> + Send;
}

/// A duty to be done.
#[derive(Debug)]
pub struct Job<P> {
    /// What to do, and for which seat.
    pub key: Key,
    /// As the chain lists it.
    pub duty: Duty,
    /// What the journal has for the seat. It may be of another chain, or of another task of the
    /// same number.
    pub kept: Option<P>,
    /// Whether the chain has refused what the journal has.
    pub is_doubted: bool,
    /// Cancelled when the time is up, or when nobody waits for the duty any more.
    pub stop: CancellationToken,
}

impl<P> Job<P> {
    /// Its place in the line before a model.
    pub fn asker(&self) -> Asker {
        Asker::Duty(self.key.step, self.duty.due_height)
    }
}

/// Why a duty was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// The node does not answer or lacks something, or the time is up: tried again with the next block,
    /// as long as the duty is listed.
    #[error("{0}")]
    Later(String),
    /// The model failed: tried three times.
    #[error("{0}")]
    Failed(String),
}

impl From<poq_client::Error> for Undone {
    fn from(error: poq_client::Error) -> Self {
        Self::Later(error.to_string())
    }
}
