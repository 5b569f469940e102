//! Follows an answer from its accept to its receipt.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use poq_client::session::Frame;
use poq_proto::v1::{self, Chat, Finish};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, error, warn};

use super::answer::{Answer, Done, Origin};
use super::{Failure, Relay};
use crate::ask::Ask;
use crate::money::{Ending, Ordered, verify};
use crate::pool::Live;
use crate::quality::Answered;
use crate::store::charges::Charge;
use crate::store::{self, orders};
use crate::telemetry;
use crate::upstream::{Error, Event, Frames};

/// Attempts to go on with a broken stream, and how long they take all together.
const RESUMES: (u32, Duration) = (2, Duration::from_secs(10));
/// Pause before an attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// How following an answer ended.
pub(super) enum Outcome {
    /// With a receipt, or with a failure that no other node can help.
    Ended(Result<Done, Failure>),
    /// The node is lost.
    Lost,
}

/// Why a stream cannot be read on.
enum Broken {
    /// Reading again from the same offset may help.
    Stream,
    /// It cannot.
    For(Box<Outcome>),
}

/// An answer that a node has begun.
pub(super) struct Following<'a> {
    /// What requests share.
    pub relay: &'a Relay,
    /// The session.
    pub live: &'a Arc<Live>,
    /// The request.
    pub ask: &'a Ask,
    /// Where the text goes.
    pub answer: &'a Answer,
    /// The number.
    pub number: u64,
    /// What it orders.
    pub ordered: &'a Ordered,
    /// The chat as it was ordered.
    pub chat: &'a Chat,
}

impl Following<'_> {
    /// Reads the answer to its end, and again from where it broke.
    pub(super) async fn follow(&self, frames: Frames) -> Outcome {
        let outcome = self.read_on(frames).await;
        if !matches!(outcome, Outcome::Ended(Ok(_))) {
            let mut inner = self.live.inner();
            if inner.book.waiting().contains(&self.number) {
                inner.orphans.insert(self.number);
            }
        }
        outcome
    }

    async fn read_on(&self, mut frames: Frames) -> Outcome {
        let (resumes, time) = RESUMES;
        let mut left = resumes;
        let mut deadline = None;
        let end = Instant::now() + self.relay.timing.deadline;
        loop {
            let before = self.answer.len();
            match self.read(&mut frames, end).await {
                Broken::For(outcome) => return *outcome,
                // Another node may still be asked for all of it.
                Broken::Stream if self.answer.len() == 0 => return Outcome::Lost,
                Broken::Stream => {}
            }
            if self.answer.len() > before {
                (left, deadline) = (resumes, None);
            }
            let until = *deadline.get_or_insert(Instant::now() + time);
            frames = loop {
                if left == 0 || Instant::now() + PAUSE > until {
                    return Outcome::Lost;
                }
                left -= 1;
                sleep(PAUSE).await;
                counter!("poq_gateway_resumes_total").increment(1);
                match self
                    .live
                    .node
                    .read(self.number, self.answer.len() as u64)
                    .await
                {
                    Ok(frames) => break frames,
                    Err(error) => debug!(
                        session = self.live.id,
                        number = self.number,
                        "not resumed: {error}"
                    ),
                }
            };
        }
    }

    /// Reads until the stream ends.
    async fn read(&self, frames: &mut Frames, end: Instant) -> Broken {
        let timing = &self.relay.timing;
        let mut stopped = None;
        let mut away = None;
        loop {
            let silence = if self.answer.len() == 0 {
                timing.first_text
            } else {
                timing.more_text
            };
            let limit = stopped.map_or(end, |at: Instant| at + timing.stopping);
            let event = tokio::select! {
                event = timeout(silence, frames.next()) => event,
                () = sleep_until(limit) => {
                    if stopped.is_some() {
                        return Broken::For(Box::new(self.late()));
                    }
                    self.stop(&mut stopped).await;
                    continue;
                }
                () = self.answer.abandoned(), if away.is_none() && stopped.is_none() => {
                    let grace = match self.ask.may_return {
                        true => timing.away,
                        false => Duration::ZERO,
                    };
                    away = Some(Instant::now() + grace);
                    continue;
                }
                () = sleep_until(away.unwrap_or(end)), if away.is_some() => {
                    away = None;
                    if !self.answer.is_read() {
                        self.stop(&mut stopped).await;
                    }
                    continue;
                }
            };
            let event = event.unwrap_or(Err(Error::Late));
            if let Some(broken) = self.take(event).await {
                return broken;
            }
        }
    }

    async fn stop(&self, stopped: &mut Option<Instant>) {
        *stopped = Some(Instant::now());
        if let Err(error) = self.live.node.stop(self.number).await {
            debug!(
                session = self.live.id,
                number = self.number,
                "not stopped: {error}"
            );
        }
    }

    fn late(&self) -> Outcome {
        Outcome::Ended(Err(match self.answer.len() {
            0 => Failure::Late,
            _ => Failure::Lost,
        }))
    }

    /// Takes an event in; None goes on.
    async fn take(&self, event: Result<Option<Event>, Error>) -> Option<Broken> {
        match event {
            Ok(Some(Event::Alive | Event::Frame(Frame::Accept { .. }))) => None,
            Ok(Some(Event::Frame(Frame::Text { offset, delta }))) => {
                self.text(offset, &delta).err()
            }
            Ok(Some(Event::Frame(Frame::Receipt { leaf, signature }))) => {
                Some(Broken::For(Box::new(self.receipt(&leaf, &signature).await)))
            }
            Ok(Some(Event::Frame(Frame::Error(refusal)))) => {
                warn!(
                    session = self.live.id,
                    number = self.number,
                    "the node gave up: {}",
                    refusal.message
                );
                Some(Broken::For(Box::new(Outcome::Lost)))
            }
            Ok(None) => Some(Broken::Stream),
            Err(error) => {
                telemetry::node_error(error.reason());
                debug!(
                    session = self.live.id,
                    number = self.number,
                    "the stream broke: {error}"
                );
                Some(Broken::Stream)
            }
        }
    }

    fn text(&self, offset: u64, delta: &str) -> Result<(), Broken> {
        if self
            .answer
            .push(offset, delta, self.ordered.max_answer_bytes)
        {
            return Ok(());
        }
        let reason = "its text contradicts itself, or is too long";
        Err(Broken::For(Box::new(self.invalid(reason.into()))))
    }

    /// Checks the receipt, and stores leaf and charge before anybody hears of it.
    async fn receipt(&self, leaf: &v1::Leaf, signature: &str) -> Outcome {
        if !self.ask.is_stream {
            self.answer.complete();
        }
        let text = self.answer.text();
        let by = self.live.node.identity();
        let by = (&*by.chain_id, self.live.id, by.node_key.as_slice());
        let ending = match verify((leaf, signature), &text, by) {
            Ok(ending) if ending.leaf.number == self.number => ending,
            Ok(_) => return self.invalid("it is for another number".into()),
            Err(error) => return self.invalid(error.to_string()),
        };
        // The lock must not be held in the body.
        let checked = self.live.inner().book.check(&ending.leaf);
        if let Err(fault) = checked {
            return self.invalid(fault.to_string());
        }
        let charge = Charge {
            key: self.ask.asker.key,
            group: self.ask.asker.group,
            amount: ending.leaf.price,
        };
        let text = match ending.leaf.finish {
            Finish::Void => String::new(),
            _ => text,
        };
        if let Err(error) = self.store(&ending, &text, charge).await {
            error!("a receipt was not stored: {error}");
            return Outcome::Ended(Err(Failure::Internal));
        }
        self.keep_account(&ending);
        if ending.leaf.finish == Finish::Void {
            return Outcome::Lost;
        }
        counter!("poq_gateway_charged_total").increment(charge.amount);
        if !text.is_empty() {
            self.relay.estimates.take(|| Answered {
                order: (self.live.id, self.number),
                operator: self.live.operator().to_owned(),
                model: self.chat.model.clone(),
                prompt: self.chat.scoring_text(),
                answer: text,
            });
        }
        Outcome::Ended(Ok(Done {
            origin: self.origin(),
            ending,
            charged: charge.amount,
        }))
    }

    async fn store(&self, ending: &Ending, text: &str, charge: Charge) -> Result<(), store::Error> {
        let (id, ending) = (self.live.id, ending.clone());
        let (chat, answer) = (self.chat.clone(), text.to_owned());
        let finish = move |db: &rusqlite::Connection| {
            orders::finish(db, id, &ending, (Some(&chat), &answer), charge)
        };
        self.relay.store.write(finish).await
    }

    /// Where the answer comes from.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            order: (self.live.id, self.number),
            operator: self.live.operator().to_owned(),
        }
    }

    fn keep_account(&self, ending: &Ending) {
        let mut inner = self.live.inner();
        if let Err(fault) = inner.book.receive(ending.leaf) {
            warn!(session = self.live.id, "{fault}");
        }
        inner.trust();
    }

    fn invalid(&self, reason: String) -> Outcome {
        warn!(
            session = self.live.id,
            number = self.number,
            node = self.live.operator(),
            "the answer is not valid: {reason}"
        );
        telemetry::node_error("invalid_receipt");
        self.quarantine(&reason);
        Outcome::Ended(Err(Failure::InvalidReceipt(reason)))
    }

    fn quarantine(&self, reason: &str) {
        let Relay { roster, store, .. } = self.relay;
        roster.quarantine(self.live.operator(), reason, store);
    }
}
