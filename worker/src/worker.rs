use std::future::Future;

use poq_client::Any;
use poq_proto::v1::Duty;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::{Asker, Key, Seat, Step};

/// The parts in which workers differ: how a duty is done, which message hands it in, and when only
/// a restart helps. [`Settings`](crate::Settings) say which duties it does.
pub trait Worker: Send + Sync + 'static {
    /// The product of a duty, an answer or a score with its salt: stored in the journal, then
    /// handed in.
    type Product: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Does a duty. Returns soon after [`Job::stop`], with a partial product or none.
    fn perform(
        &self,
        job: Job<Self::Product>,
    ) -> impl Future<Output = Result<Self::Product, Undone>> + Send;

    /// The message that hands in products of one step.
    fn message(&self, step: Step, products: &[(Seat, &Self::Product)]) -> Any;

    /// Waits until only a new process can do duties again, and returns why.
    fn lost(&self) -> impl Future<Output = String> + Send;
}

/// A duty to be done.
#[derive(Debug)]
pub struct Job<P> {
    /// The step and the seat.
    pub key: Key,
    /// The duty as the chain lists it.
    pub duty: Duty,
    /// The journal's entry for the seat. It may belong to another chain, or to another task with
    /// the same number.
    pub kept: Option<P>,
    /// Whether the chain has refused the journal's entry.
    pub is_doubted: bool,
    /// Cancelled when the time is up, or when the duty is no longer needed.
    pub stop: CancellationToken,
}

impl<P> Job<P> {
    /// Its priority in a model's queue.
    pub fn asker(&self) -> Asker {
        Asker::Duty(self.key.step, self.duty.due_height)
    }
}

/// Why a duty was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// The node does not answer or lacks data, or the time is up: retried with every block as long
    /// as the duty is listed.
    #[error("{0}")]
    Later(String),
    /// The model failed: three attempts in all.
    #[error("{0}")]
    Failed(String),
}

impl From<poq_client::Error> for Undone {
    fn from(error: poq_client::Error) -> Self {
        Self::Later(error.to_string())
    }
}
