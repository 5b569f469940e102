//! Hands in products, each batch in its own task, and reports the result for each duty.

use std::sync::Arc;

use metrics::counter;
use poq_client::{Any, Error, Fee, Result, Sender, TxOptions, tx};
use poq_proto::code;
use poq_proto::v1::{
    ItemResult, MsgCommitScoresResponse, MsgRevealScoresResponse, MsgSubmitAnswersResponse,
};
use prost::Message;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Key, Step};

/// Blocks that a transaction may wait for before its duties are checked again. Sending a duty again
/// while it is listed is harmless: the chain accepts it once.
const PATIENCE: u64 = 4;

/// Duties of one step that are handed in with one transaction.
pub(crate) struct Submission {
    /// At least one, in the order of the message's items.
    pub keys: Vec<Key>,
    pub step: Step,
    pub message: Any,
    /// Last height at which the transaction is useful.
    pub due_height: u64,
}

/// The result for a submission's duties.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Done, or refused for good.
    pub over: Vec<Key>,
    /// To be handed in again.
    pub again: Vec<Key>,
    /// To be handed in again in smaller batches: most of them would have failed.
    pub split: Vec<Key>,
    /// The chain refused these: they do not match their commitments.
    pub doubted: Vec<Key>,
}

impl Submission {
    /// Broadcasts, waits for the block, and reads the result of every item.
    pub(crate) async fn run(self, sender: Arc<Sender>, heights: watch::Receiver<u64>) -> Verdict {
        let items = self.keys.len();
        let sent = send(self.message, self.step, self.due_height, &sender, heights).await;
        match sent {
            Ok(results) if results.len() == items => judge(&self.keys, &results),
            Ok(results) => {
                let actual = results.len();
                warn!(
                    items,
                    actual, "the chain returned a different number of results"
                );
                Verdict {
                    again: self.keys,
                    ..Verdict::default()
                }
            }
            Err(error) => {
                counter!("poq_worker_failed_transactions_total").increment(1);
                let step = self.step.name();
                warn!(step, items, %error, "a transaction failed; its duties are retried while they are listed");
                failed(self.keys, error.is(code::MOSTLY_FAILING))
            }
        }
    }
}

async fn send(
    message: Any,
    step: Step,
    due_height: u64,
    sender: &Sender,
    heights: watch::Receiver<u64>,
) -> Result<Vec<ItemResult>> {
    let options = TxOptions {
        timeout_height: due_height,
        ..TxOptions::from(Fee::Free)
    };
    let outcome = sender
        .send_and_wait_blocks(vec![message], options, PATIENCE, heights)
        .await?;
    let (step_name, height) = (step.name(), outcome.height);
    info!(step = step_name, height, hash = %outcome.hash, "handed in");
    let response = tx::responses(&outcome.data)?.into_iter().next();
    let results = response.map_or(Ok(Vec::new()), |response| results(step, &response.value));
    results.map_err(|error| Error::Decode {
        what: "a batch of duties".to_owned(),
        reason: error.to_string(),
    })
}

fn results(step: Step, value: &[u8]) -> std::result::Result<Vec<ItemResult>, prost::DecodeError> {
    Ok(match step {
        Step::Answer => MsgSubmitAnswersResponse::decode(value)?.results,
        Step::Commit => MsgCommitScoresResponse::decode(value)?.results,
        Step::Reveal => MsgRevealScoresResponse::decode(value)?.results,
    })
}

/// A refused reveal does not match the commitment on the chain.
fn judge(keys: &[Key], results: &[ItemResult]) -> Verdict {
    let mut verdict = Verdict::default();
    for (key, result) in keys.iter().zip(results) {
        report(*key, result.code);
        let is_there = result.code == 0 || result.code == code::DUPLICATE.number;
        match key.step {
            Step::Reveal if !is_there => verdict.doubted.push(*key),
            _ => verdict.over.push(*key),
        }
    }
    verdict
}

fn failed(keys: Vec<Key>, is_mostly_failing: bool) -> Verdict {
    let mut verdict = Verdict::default();
    let is_one_reveal = matches!(keys.as_slice(), [key] if key.step == Step::Reveal);
    let place = match is_mostly_failing {
        true if is_one_reveal => &mut verdict.doubted,
        true => &mut verdict.split,
        false => &mut verdict.again,
    };
    *place = keys;
    verdict
}

fn report(key: Key, number: u32) {
    let (step, task, attempt) = (key.step.name(), key.seat.task, key.seat.attempt);
    if number == 0 {
        key.step.count("done");
        info!(step, task, attempt, "done");
    } else if number == code::DUPLICATE.number {
        key.step.count("duplicate");
        info!(step, task, attempt, "the chain already had it");
    } else {
        key.step.count("refused");
        let reason = reason(number);
        warn!(step, task, attempt, code = number, reason, "refused");
    }
}

/// The name of a code in the codespace `poq`.
fn reason(number: u32) -> &'static str {
    code::ALL
        .iter()
        .find(|(_, code)| code.codespace == code::POQ && code.number == number)
        .map_or("unknown code", |(name, _)| name)
}
#[cfg(test)]
mod tests {
    use super::*;

    fn keys(step: Step, tasks: &[u64]) -> Vec<Key> {
        let key = |task: &u64| Key {
            seat: crate::Seat {
                task: *task,
                attempt: 0,
            },
            step,
        };
        tasks.iter().map(key).collect()
    }

    #[test]
    fn what_the_chain_has_is_over_and_a_refused_reveal_is_looked_into() {
        let codes = [0, code::DUPLICATE.number, code::REVEAL_MISMATCH.number];
        let results = codes.map(|code| ItemResult {
            code,
            ..ItemResult::default()
        });
        let judged = |step| judge(&keys(step, &[1, 2, 3]), &results);
        let reveals = judged(Step::Reveal);
        assert_eq!(reveals.over, keys(Step::Reveal, &[1, 2]));
        assert_eq!(reveals.doubted, keys(Step::Reveal, &[3]));
        assert_eq!(judged(Step::Commit).over.len(), 3);
    }

    #[test]
    fn a_batch_that_mostly_fails_is_split_down_to_the_reveal_that_fails() {
        let (two, one) = (keys(Step::Reveal, &[1, 2]), keys(Step::Reveal, &[1]));
        assert_eq!(failed(two.clone(), true).split, two);
        assert_eq!(failed(two.clone(), false).again, two);
        assert_eq!(failed(one.clone(), true).doubted, one);
        assert_eq!(failed(one.clone(), false).again, one);
        let commit = keys(Step::Commit, &[1]);
        assert_eq!(failed(commit.clone(), true).split, commit);
    }

    #[test]
    fn codes_have_names() {
        assert_eq!(reason(code::REVEAL_MISMATCH.number), "REVEAL_MISMATCH");
        assert_eq!(reason(4_000_000), "unknown code");
    }
}
