//! Hands commitments and reveals in, and says what became of each.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use poq_client::{Any, Error, Fee, Result, Sender, TxOptions, any, tx};
use poq_proto::code;
use poq_proto::v1::{
    CommitItem, ItemResult, MsgCommitScores, MsgCommitScoresResponse, MsgRevealScores,
    MsgRevealScoresResponse, RevealItem,
};
use prost::Message;
use tracing::{info, warn};

use crate::duties::{Key, Step};
use crate::journal::Entry;

/// How long a transaction may wait for its block before its duties are looked at again.
const INCLUSION_TIMEOUT: Duration = Duration::from_secs(30);

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
#[derive(Default)]
pub struct Verdict {
    /// Done, or refused for good.
    pub over: Vec<Key>,
    /// To be tried again.
    pub again: Vec<Key>,
}

impl Submission {
    /// Broadcasts, waits for the block, and reads the result of every item.
    pub async fn run(self, sender: Arc<Sender>) -> Verdict {
        let keys: Vec<Key> = self
            .entries
            .iter()
            .map(|entry| Key {
                seat: entry.seat,
                step: self.step,
            })
            .collect();
        match self.send(&sender).await {
            Ok(results) if results.len() == keys.len() => {
                for (entry, result) in self.entries.iter().zip(&results) {
                    report(self.step, entry, result.code);
                }
                Verdict {
                    over: keys,
                    again: Vec::new(),
                }
            }
            Ok(results) => {
                let (expected, actual) = (keys.len(), results.len());
                warn!(
                    expected,
                    actual, "the chain answered with another number of results"
                );
                Verdict {
                    over: keys,
                    again: Vec::new(),
                }
            }
            Err(error) => {
                counter!("poq_evaluator_failed_transactions_total").increment(1);
                let items = keys.len();
                warn!(step = ?self.step, items, %error, "a transaction failed; its duties are tried again while they last");
                Verdict {
                    over: Vec::new(),
                    again: keys,
                }
            }
        }
    }

    async fn send(&self, sender: &Sender) -> Result<Vec<ItemResult>> {
        let options = TxOptions {
            timeout_height: self.due_height,
            ..TxOptions::from(Fee::Free)
        };
        let message = self.message(sender);
        let outcome = sender
            .send_and_wait(vec![message], options, INCLUSION_TIMEOUT)
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
        _ => warn!(
            task,
            attempt,
            ?step,
            code,
            reason = reason(code),
            "refused; not tried again"
        ),
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

    #[test]
    fn codes_have_names() {
        assert_eq!(reason(code::REVEAL_MISMATCH.number), "REVEAL_MISMATCH");
        assert_eq!(reason(4_000_000), "unknown code");
    }
}
