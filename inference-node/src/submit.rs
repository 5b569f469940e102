//! Hands answers in, in tasks of their own, and says what became of them.

use std::sync::Arc;

use metrics::counter;
use poq_client::{Error, Fee, Result, Sender, TxOptions, TxOutcome, any, tx};
use poq_proto::code;
use poq_proto::v1::{AnswerItem, MsgSubmitAnswers, MsgSubmitAnswersResponse};
use prost::Message as _;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::journal::DutyKey;

/// Blocks that a transaction may wait for its own before its duties are looked at again. To send
/// what is still listed once more is harmless: the chain takes it once.
const PATIENCE: u64 = 4;

/// Answers that are handed in with one transaction.
pub struct Submission {
    /// The duties, in the order of the items.
    pub keys: Vec<DutyKey>,
    /// The answers.
    pub items: Vec<AnswerItem>,
    /// Last height at which the transaction is of use.
    pub due_height: u64,
}

/// What became of a submission's duties.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A block has them, or the chain does not want them.
    Settled(Vec<DutyKey>),
    /// To be tried again while they are listed.
    Again(Vec<DutyKey>),
    /// To be tried again in smaller batches: most of them would have failed.
    Split(Vec<DutyKey>),
}

impl Submission {
    /// Broadcasts and waits for the block.
    pub async fn run(self, sender: Arc<Sender>, heights: watch::Receiver<u64>) -> Verdict {
        let message = any(&MsgSubmitAnswers {
            operator: sender.address().into(),
            items: self.items,
        });
        let options = TxOptions {
            timeout_height: self.due_height,
            ..TxOptions::from(Fee::Free)
        };
        let sent = sender.send_and_wait_blocks(vec![message], options, PATIENCE, heights);
        let result = sent.await;
        let tasks: Vec<u64> = self.keys.iter().map(|key| key.task).collect();
        match &result {
            Ok(outcome) => {
                info!(?tasks, hash = %outcome.hash, height = outcome.height, "answers handed in");
                report(&self.keys, outcome);
            }
            Err(error) => {
                counter!("poq_inference_failed_transactions_total").increment(1);
                warn!(?tasks, "answers are not in yet: {error}");
            }
        }
        judge(self.keys, &result)
    }
}

fn judge(keys: Vec<DutyKey>, result: &Result<TxOutcome>) -> Verdict {
    match result {
        Ok(_) => Verdict::Settled(keys),
        Err(error) if error.is(code::MOSTLY_FAILING) => Verdict::Split(keys),
        Err(error) if error.is_retryable() => Verdict::Again(keys),
        // The chain has them already, or no longer wants them; what stays listed is tried later.
        Err(Error::Tx { .. }) => Verdict::Settled(keys),
        Err(_) => Verdict::Again(keys),
    }
}

/// Tells of answers that the chain did not take.
fn report(keys: &[DutyKey], outcome: &TxOutcome) {
    let responses = tx::responses(&outcome.data).unwrap_or_default();
    let results = responses
        .first()
        .and_then(|any| MsgSubmitAnswersResponse::decode(any.value.as_slice()).ok())
        .map_or(Vec::new(), |response| response.results);
    for (key, result) in keys.iter().zip(results) {
        if result.code != 0 && result.code != code::DUPLICATE.number {
            counter!("poq_inference_duties_total", "outcome" => "refused").increment(1);
            let (task, code) = (key.task, result.code);
            warn!(task, code, "the chain refuses the answer");
        }
    }
}

#[cfg(test)]
mod tests {
    use poq_client::TxHash;

    use super::*;

    #[test]
    fn what_a_block_has_is_settled_and_what_may_be_lost_is_tried_again() {
        let keys = vec![DutyKey {
            task: 1,
            attempt: 0,
        }];
        let refused = |code: code::Code| {
            Err(Error::Tx {
                code: code.number,
                codespace: code.codespace.into(),
                log: String::new(),
                hash: TxHash([0; 32]),
            })
        };
        let judge = |result| judge(keys.clone(), &result);
        let lost = Error::NotInBlocks {
            hash: TxHash([0; 32]),
            height: 9,
        };
        assert_eq!(judge(Err(lost)), Verdict::Again(keys.clone()));
        let split = judge(refused(code::MOSTLY_FAILING));
        assert_eq!(split, Verdict::Split(keys.clone()));
        let again = judge(refused(code::MEMPOOL_FULL));
        assert_eq!(again, Verdict::Again(keys.clone()));
        let late = judge(refused(code::TIMEOUT_HEIGHT));
        assert_eq!(late, Verdict::Settled(keys.clone()));
    }
}
