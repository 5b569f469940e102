//! Hands commitments and reveals in, and says what became of each.

use std::sync::Arc;

use metrics::counter;
use poq_client::{Any, Error, Fee, Result, Sender, TxOptions, any, tx};
use poq_proto::code;
use poq_proto::v1::{
    CommitItem, ItemResult, MsgCommitScores, MsgCommitScoresResponse, MsgRevealScores,
    MsgRevealScoresResponse, RevealItem,
};
use prost::Message;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::duties::{Key, Step};
use crate::journal::Entry;

/// Blocks that a transaction may wait for its own before its duties are looked at again. To send
/// what is still listed once more is harmless: the chain takes it once.
const PATIENCE: u64 = 4;

/// Entries that are committed to or revealed in one transaction.
pub struct Submission {
    /// What all of them are for.
    pub step: Step,
    /// At least one.
    pub entries: Vec<Entry>,
    /// Last height at which the transaction is of use.
    pub due_height: u64,
}

/// What became of a submission's duties.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Done, or refused for good.
    pub over: Vec<Key>,
    /// To be tried again.
    pub again: Vec<Key>,
    /// To be tried again in smaller batches: most of them would have failed.
    pub split: Vec<Key>,
    /// The chain does not take these scores as what was committed to.
    pub doubted: Vec<Key>,
}

impl Submission {
    /// Broadcasts, waits for the block, and reads the result of every item.
    pub async fn run(self, sender: Arc<Sender>, heights: watch::Receiver<u64>) -> Verdict {
        let keys: Vec<Key> = self
            .entries
            .iter()
            .map(|entry| Key {
                seat: entry.seat,
                step: self.step,
            })
            .collect();
        match self.send(&sender, heights).await {
            Ok(results) if results.len() == keys.len() => {
                for (entry, result) in self.entries.iter().zip(&results) {
                    report(self.step, entry, result.code);
                }
                judge(
                    keys.into_iter()
                        .zip(results.iter().map(|result| result.code)),
                )
            }
            Ok(results) => {
                let (expected, actual) = (keys.len(), results.len());
                warn!(
                    expected,
                    actual, "the chain answered with another number of results"
                );
                Verdict {
                    again: keys,
                    ..Verdict::default()
                }
            }
            Err(error) => {
                counter!("poq_evaluator_failed_transactions_total").increment(1);
                let items = keys.len();
                warn!(step = ?self.step, items, %error, "a transaction failed; its duties are tried again while they last");
                failed(keys, error.is(code::MOSTLY_FAILING))
            }
        }
    }

    async fn send(
        &self,
        sender: &Sender,
        heights: watch::Receiver<u64>,
    ) -> Result<Vec<ItemResult>> {
        let options = TxOptions {
            timeout_height: self.due_height,
            ..TxOptions::from(Fee::Free)
        };
        let message = self.message(sender);
        let outcome = sender
            .send_and_wait_blocks(vec![message], options, PATIENCE, heights)
            .await?;
        let step = format!("{:?}", self.step);
        info!(step, items = self.entries.len(), height = outcome.height, hash = %outcome.hash, "handed in");
        let response = tx::responses(&outcome.data)?.into_iter().next();
        response
            .map_or(Ok(Vec::new()), |response| self.results(&response))
            .map_err(|error| Error::Decode {
                what: "a batch of scores".to_owned(),
                reason: error.to_string(),
            })
    }

    fn message(&self, sender: &Sender) -> Any {
        let operator = sender.address().to_owned();
        match self.step {
            Step::Commit => {
                let address = sender.address_bytes();
                let items = self.entries.iter().map(|entry| CommitItem {
                    task_id: entry.seat.task,
                    commitment: entry.commitment(&address).to_vec(),
                });
                any(&MsgCommitScores {
                    operator,
                    items: items.collect(),
                })
            }
            Step::Reveal => {
                let items = self.entries.iter().map(|entry| RevealItem {
                    task_id: entry.seat.task,
                    raw_score: entry.raw_score,
                    salt: entry.salt.to_vec(),
                });
                any(&MsgRevealScores {
                    operator,
                    items: items.collect(),
                })
            }
        }
    }

    fn results(&self, response: &Any) -> std::result::Result<Vec<ItemResult>, prost::DecodeError> {
        let value = response.value.as_slice();
        Ok(match self.step {
            Step::Commit => MsgCommitScoresResponse::decode(value)?.results,
            Step::Reveal => MsgRevealScoresResponse::decode(value)?.results,
        })
    }
}

/// A reveal that the chain refuses is not what was committed to, as far as the chain knows.
fn judge(results: impl Iterator<Item = (Key, u32)>) -> Verdict {
    let mut verdict = Verdict::default();
    for (key, code) in results {
        let is_there = code == 0 || code == code::DUPLICATE.number;
        match key.step {
            Step::Reveal if !is_there => verdict.doubted.push(key),
            _ => verdict.over.push(key),
        }
    }
    verdict
}

fn failed(keys: Vec<Key>, is_mostly_failing: bool) -> Verdict {
    let mut verdict = Verdict::default();
    let place = match (is_mostly_failing, keys.as_slice()) {
        (
            true,
            [
                Key {
                    step: Step::Reveal, ..
                },
            ],
        ) => &mut verdict.doubted,
        (true, _) => &mut verdict.split,
        (false, _) => &mut verdict.again,
    };
    *place = keys;
    verdict
}

fn report(step: Step, entry: &Entry, code: u32) {
    let (task, attempt) = (entry.seat.task, entry.seat.attempt);
    let outcome = match code {
        0 => "done",
        _ if code == code::DUPLICATE.number => "duplicate",
        _ => "refused",
    };
    step.count(outcome);
    match (code, step) {
        (0, Step::Commit) => info!(task, attempt, "committed"),
        (0, Step::Reveal) => info!(task, attempt, raw_score = entry.raw_score, "revealed"),
        _ if code == code::DUPLICATE.number => {
            info!(task, attempt, ?step, "the chain had it already");
        }
        _ => warn!(task, attempt, ?step, code, reason = reason(code), "refused"),
    }
}

/// The name of a code of the codespace `poq`.
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
            seat: crate::journal::Seat {
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
        let judged = |step| judge(keys(step, &[1, 2, 3]).into_iter().zip(codes));
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
