//! Has an accepted order answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use poq_client::session::Refusal;
use poq_proto::v1::Finish;
use poq_worker::Waiting;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::answer::{End, Live};
use super::journal::{Write, Written};
use super::log::Ended;
use super::orders::Desk;
use super::refusals::failed;
use super::session::Session;
use crate::compute::Error;
use crate::generator::{Completion, Finish as Reason, Request};

/// Parts of an answer that may wait to be read.
const DELTAS: usize = 64;
/// Pause between two writings of an answer that grows.
const KEEP: Duration = Duration::from_secs(1);
/// Pause before an answer's end is stored again.
const AGAIN: Duration = Duration::from_secs(1);

/// An order on its way.
pub(super) struct Serving {
    /// Its session.
    pub(super) session: Arc<Session>,
    /// Its number.
    pub(super) number: u64,
    /// Its answer.
    pub(super) live: Arc<Live>,
    /// Its place in the model's queue.
    pub(super) place: Waiting,
    /// What the model is asked.
    pub(super) request: Request,
    /// Its voucher on the way to the disk.
    pub(super) written: Written,
    /// Told once the voucher is there.
    pub(super) accepted: oneshot::Sender<Result<(), Refusal>>,
}

impl Desk {
    /// Serves an order to its end, whoever reads it.
    pub(super) async fn serve(self: Arc<Self>, serving: Serving) {
        let Serving {
            session,
            number,
            live,
            place,
            request,
            written,
            accepted,
        } = serving;
        if let Err(reason) = written.stored().await {
            error!(session = session.record.id, number, "{reason}");
            session.lock().is_broken = true;
            live.end(End::Failed(failed()));
            let _ = accepted.send(Err(failed()));
            return;
        }
        // The client may be gone.
        let _ = accepted.send(Ok(()));
        let outcome = self
            .generate(session.record.id, number, &live, place, request)
            .await;
        let text = live.text();
        let ended = ended(&outcome, &text, live.stop.is_cancelled());
        told(session.record.id, number, &outcome, &ended);
        if !self.keep(session.record.id, number, text, ended).await {
            return live.end(End::Failed(failed()));
        }
        let mut state = session.lock();
        state.log.finish(number, ended);
        self.tell(session.record.id, &mut state, number);
    }

    async fn generate(
        &self,
        session: u64,
        number: u64,
        live: &Live,
        place: Waiting,
        request: Request,
    ) -> Result<Completion, Error> {
        let stop = live.stop.child_token();
        let (deltas, parts) = mpsc::channel(DELTAS);
        let answer = async {
            let answer = self.compute.session(place, request, stop.clone(), deltas);
            tokio::pin!(answer);
            tokio::select! {
                biased;
                outcome = &mut answer => outcome,
                () = self.shutdown.cancelled() => { stop.cancel(); answer.await }
            }
        };
        let (outcome, ()) = tokio::join!(answer, self.collect(session, number, live, parts));
        outcome
    }

    /// Shows the parts at once, and keeps them soon.
    async fn collect(
        &self,
        session: u64,
        number: u64,
        live: &Live,
        mut parts: mpsc::Receiver<String>,
    ) {
        let (mut unkept, mut kept_at) = (String::new(), Instant::now());
        while let Some(part) = parts.recv().await {
            live.push(&part);
            unkept.push_str(&part);
            if kept_at.elapsed() >= KEEP {
                // The end stores the whole answer.
                let _ = self.journal.write(Write::Text {
                    session,
                    number,
                    delta: std::mem::take(&mut unkept),
                });
                kept_at = Instant::now();
            }
        }
    }

    /// Stores an answer, however long the disk does not work: without it there is no receipt. Returns
    /// false if the node stops or the session is over before.
    async fn keep(&self, session: u64, number: u64, text: String, ended: Ended) -> bool {
        loop {
            let written = self.journal.write(Write::End {
                session,
                number,
                text: text.clone(),
                ended,
            });
            let Err(reason) = written.stored().await else {
                return true;
            };
            if self.find(session).is_none() {
                // It is over on the chain: there is nothing to keep.
                return false;
            }
            warn!(session, number, "{reason}; trying again");
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return false,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }
}

/// What the log says of an answer. One that the node itself could not begin is void; one that it had to
/// cut has the text that was read.
fn ended(outcome: &Result<Completion, Error>, text: &str, is_stopped: bool) -> Ended {
    let reason = outcome.as_ref().ok().map(|completion| completion.finish);
    let finish = match reason {
        Some(Reason::Stop) => Finish::Stop,
        Some(Reason::Length | Reason::Bytes) => Finish::Length,
        Some(Reason::Cancelled) | None if is_stopped => Finish::User,
        Some(Reason::Cancelled) | None if text.is_empty() => return Ended::VOID,
        Some(Reason::Cancelled) | None => Finish::Length,
    };
    let count = |tokens: fn(&Completion) -> usize| {
        let tokens = outcome.as_ref().map(tokens).unwrap_or_default();
        tokens.try_into().unwrap_or(u32::MAX)
    };
    Ended {
        answer: Sha256::digest(text).into(),
        answer_bytes: text.len().try_into().unwrap_or(u32::MAX),
        prompt_tokens: count(|completion| completion.prompt_tokens),
        answer_tokens: count(|completion| completion.answer_tokens),
        finish,
    }
}

fn told(session: u64, number: u64, outcome: &Result<Completion, Error>, ended: &Ended) {
    let finish = ended.finish.as_str_name();
    match outcome {
        Ok(completion) => info!(
            session,
            number,
            prompt_tokens = completion.prompt_tokens,
            answer_tokens = completion.answer_tokens,
            first_token_ms = completion.first_token.as_millis(),
            total_ms = completion.total.as_millis(),
            finish,
            "answered"
        ),
        Err(reason) => warn!(session, number, finish, "not answered: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(finish: Reason) -> Result<Completion, Error> {
        Ok(Completion {
            text: String::new(),
            finish,
            prompt_tokens: 3,
            answer_tokens: 2,
            first_token: Duration::ZERO,
            total: Duration::ZERO,
            margins: Vec::new(),
        })
    }

    #[test]
    fn the_log_says_how_an_answer_ended() {
        let finish = |outcome: &Result<Completion, Error>, text: &str, is_stopped: bool| {
            ended(outcome, text, is_stopped).finish
        };
        for (reason, expected) in [
            (Reason::Stop, Finish::Stop),
            (Reason::Length, Finish::Length),
            (Reason::Bytes, Finish::Length),
        ] {
            for (text, is_stopped) in [("", false), ("a", false), ("a", true)] {
                assert_eq!(finish(&completion(reason), text, is_stopped), expected);
            }
        }
        let cut = completion(Reason::Cancelled);
        let failure = Err(Error::Preempted);
        for outcome in [&cut, &failure] {
            assert_eq!(finish(outcome, "a", true), Finish::User);
            assert_eq!(finish(outcome, "", true), Finish::User);
            assert_eq!(finish(outcome, "a", false), Finish::Length);
            assert_eq!(ended(outcome, "", false), Ended::VOID);
        }
        let empty = ended(&completion(Reason::Stop), "", false);
        let expected = Ended {
            answer: Sha256::digest("").into(),
            answer_bytes: 0,
            prompt_tokens: 3,
            answer_tokens: 2,
            finish: Finish::Stop,
        };
        assert_eq!(empty, expected);
    }
}
