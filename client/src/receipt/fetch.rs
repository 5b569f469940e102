//! Reads what a receipt needs from a node. Nothing is trusted: [`Receipt::verify`] checks it.

use std::time::Duration;

use tendermint_rpc::Client as _;
use tokio::time::{Instant, sleep};

use super::{AnswerPart, Format, Receipt, SignedState, Subject, TaskPart, Validator};
use super::{session_key, task_key};
use crate::client::block_height;
use crate::{Client, Result};

/// How long the next block may take before the state before the newest one is taken.
const NEXT_BLOCK: Duration = Duration::from_secs(10);
/// Pause between two looks for it.
const PAUSE: Duration = Duration::from_millis(200);

impl Client {
    /// The receipt of a task without texts; None if there is no such task.
    ///
    /// # Errors
    /// Errors of the node.
    pub async fn task_receipt(&self, id: u64) -> Result<Option<Receipt>> {
        let state = self.signed_state(&task_key(id)).await?;
        Ok(state.map(|state| Receipt {
            format: Format::V1,
            chain_id: state.signed_header.header.chain_id.to_string(),
            subject: Subject::Task(TaskPart {
                id,
                prompt: None,
                answer: None,
            }),
            state: Some(state),
        }))
    }

    /// The receipt of an answer of a session with the session's record; None if there is no such
    /// session.
    ///
    /// # Errors
    /// Errors of the node.
    pub async fn answer_receipt(&self, answer: AnswerPart) -> Result<Option<Receipt>> {
        let state = self.signed_session(answer.session).await?;
        Ok(state.map(|state| Receipt {
            format: Format::V1,
            chain_id: state.signed_header.header.chain_id.to_string(),
            subject: Subject::Answer(answer),
            state: Some(state),
        }))
    }

    /// A session's record with proof and header; None if there is no such session.
    ///
    /// # Errors
    /// Errors of the node.
    pub async fn signed_session(&self, id: u64) -> Result<Option<SignedState>> {
        self.signed_state(&session_key(id)).await
    }

    async fn signed_state(&self, key: &str) -> Result<Option<SignedState>> {
        let height = self.provable_height().await?;
        let proven = self.proven(key.as_bytes(), Some(height)).await?;
        let Some(record) = proven.value else {
            return Ok(None);
        };
        let next = height.saturating_add(1);
        let rpc = self.rpc();
        let commit = rpc.http().commit(block_height(next)?).await;
        let validators = self.validators(next).await?.validators.into_iter();
        Ok(Some(SignedState {
            record,
            proof: proven.proof,
            signed_header: rpc.check("commit", commit)?.signed_header,
            validators: validators
                .map(|validator| Validator {
                    pub_key: validator.pub_key,
                    power: validator.power.value(),
                })
                .collect(),
        }))
    }

    /// Height of the newest state whose hash is in a header: waits for the next block, whose header
    /// has the hash of the state that is the newest now.
    async fn provable_height(&self) -> Result<u64> {
        let newest = self.height().await?;
        let deadline = Instant::now() + NEXT_BLOCK;
        while Instant::now() < deadline {
            if self.height().await? > newest {
                return Ok(newest);
            }
            sleep(PAUSE).await;
        }
        Ok(newest.saturating_sub(1))
    }
}
