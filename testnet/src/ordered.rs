//! An answer of a session, followed from the gateway's stream to its payout.

use std::time::{Duration, Instant};

use poq_client::network::Description;
use poq_client::{Client, Fee, Sender, any};
use poq_proto::v1::{MsgCloseSessions, Session, SessionStatus};
use tokio::time::sleep;

use crate::chat::{self, Chat, Said};
use crate::session_receipt::SessionReceipt;
use crate::watch::{Step, Watch};
use crate::{Error, INCLUSION, Result};

/// Pause between two looks at the session; also the error of every measured time.
const PAUSE: Duration = Duration::from_millis(50);
/// Pause before asking a gateway again whose first session is still opening.
const OPENING: Duration = Duration::from_millis(500);
/// How long the first session may take to open.
const OPEN: Duration = Duration::from_secs(60);

/// A step of an answer's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionStep {
    /// Orders have ended: the chain waits for the node's settlement.
    Closing,
    /// The node put the root of its log on chain.
    Settled {
        /// Answers in the log.
        answers: u64,
        /// Sum of their prices, base units.
        amount: u64,
    },
    /// The answers to score are drawn.
    Drawn,
    /// This answer is on chain, as a task.
    Revealed {
        /// The task that scores it.
        task: u64,
    },
    /// A step of that task.
    Scoring(Step),
    /// The session was paid out.
    Final,
}

/// A step and the time at which it was seen.
#[derive(Clone, Debug)]
pub struct SessionSeen {
    /// The step.
    pub step: SessionStep,
    /// Height of the first state with it.
    pub height: u64,
    /// Time since the question was sent.
    pub after: Duration,
}

/// An answer that has a receipt of its node.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// The answer.
    pub said: Said,
    /// Time of sending.
    pub sent: Instant,
    /// The session.
    pub session: u64,
    /// The answer's number in it.
    pub number: u64,
}

impl Ordered {
    /// Asks the network's gateway, as soon as its first session is open, and calls `on_text` with each part of
    /// the answer.
    ///
    /// # Errors
    /// [`Error::Chat`] without a whole answer.
    pub async fn ask(chat: &Chat, prompt: &str, mut on_text: impl FnMut(&str)) -> Result<Self> {
        let since = Instant::now();
        loop {
            let sent = Instant::now();
            match chat.ask(prompt, None, &mut on_text).await {
                Ok(said) => return Self::of(said, sent),
                Err(chat::Failure::Refused { status: 503, .. }) if since.elapsed() < OPEN => {
                    sleep(OPENING).await;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    fn of(said: Said, sent: Instant) -> Result<Self> {
        let id = said.receipt.as_deref().unwrap_or_default();
        let parts = id.split_once('-');
        let parts =
            parts.and_then(|(session, number)| Some((session.parse().ok()?, number.parse().ok()?)));
        let (session, number) = parts.ok_or_else(|| Error::Contents {
            path: "the gateway's answer".into(),
            reason: format!("it has no receipt, but {id:?}"),
        })?;
        Ok(Self {
            said,
            sent,
            session,
            number,
        })
    }

    /// Ends the session in the name of `gateway`, so that it is settled now and not when it is used up, and
    /// follows it to the payout.
    ///
    /// # Errors
    /// [`Error::NotScored`] if the session ends without a quality of this answer.
    pub async fn receipt(
        &self,
        gateway: &Sender,
        network: &Description,
        prompt: &str,
        mut on_step: impl FnMut(&SessionSeen),
    ) -> Result<SessionReceipt> {
        let close = MsgCloseSessions {
            user: gateway.address().into(),
            sessions: vec![self.session],
        };
        gateway
            .send_and_wait(vec![any(&close)], Fee::Auto, INCLUSION)
            .await?;
        let mut watch = SessionWatch {
            client: gateway.client().clone(),
            ordered: self,
            session: Session::default(),
            task: None,
        };
        let mut all = Vec::new();
        while !is_over(&watch.session) {
            for seen in watch.next().await? {
                on_step(&seen);
                all.push(seen);
            }
        }
        let receipt = SessionReceipt::new(network, self, prompt, &watch, &all);
        receipt.ok_or(Error::NotScored {
            session: self.session,
            number: self.number,
        })
    }
}

/// Follows one answer through its session and through the task that scores it.
pub(crate) struct SessionWatch<'a> {
    client: Client,
    ordered: &'a Ordered,
    /// The newest state of the session.
    pub session: Session,
    /// The task, once the answer is drawn.
    pub task: Option<Watch>,
}

impl SessionWatch<'_> {
    /// The next steps; none if there is no news. Retries if the node is briefly unreachable.
    async fn next(&mut self) -> Result<Vec<SessionSeen>> {
        if let Some(task) = &mut self.task {
            let scoring = task.next().await?;
            if !scoring.is_empty() {
                let seen = scoring.into_iter().map(|seen| SessionSeen {
                    height: seen.height,
                    after: seen.after,
                    step: SessionStep::Scoring(seen.step),
                });
                return Ok(seen.collect());
            }
        }
        sleep(PAUSE).await;
        let session = match self.client.session(self.ordered.session).await {
            Ok(session) => session,
            Err(error) if error.is_retryable() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let (height, after) = (session.updated_height, self.ordered.sent.elapsed());
        let steps = steps(&self.session, &session, self.ordered.number);
        if let Some(task) = scored_by(&session, self.ordered.number).filter(|_| self.task.is_none())
        {
            let watch = Watch::new(self.client.clone(), task, self.ordered.sent);
            self.task = Some(watch);
        }
        self.session = session;
        let seen = steps.into_iter().map(|step| SessionSeen {
            step,
            height,
            after,
        });
        Ok(seen.collect())
    }
}

/// The task that scores an answer, if it was drawn and is revealed.
fn scored_by(session: &Session, number: u64) -> Option<u64> {
    let mut leaves = session.settlement.iter().flat_map(|one| &one.leaves);
    let leaf = leaves.find(|leaf| leaf.number == number)?;
    Some(leaf.task_id).filter(|task| *task > 0)
}

/// The steps between two states of a session, in order.
fn steps(old: &Session, new: &Session, number: u64) -> Vec<SessionStep> {
    let mut steps = Vec::new();
    if new.status() == SessionStatus::Closing && old.status() != SessionStatus::Closing {
        steps.push(SessionStep::Closing);
    }
    if let (Some(settlement), None) = (&new.settlement, &old.settlement) {
        steps.push(SessionStep::Settled {
            answers: settlement.count,
            amount: settlement.amount,
        });
    }
    let drawn = |session: &Session| {
        let settlement = session.settlement.as_ref();
        settlement.is_some_and(|settlement| settlement.draw_height > 0)
    };
    if drawn(new) && !drawn(old) {
        steps.push(SessionStep::Drawn);
    }
    let task = scored_by(new, number).filter(|_| scored_by(old, number).is_none());
    steps.extend(task.map(|task| SessionStep::Revealed { task }));
    if is_over(new) && !is_over(old) {
        steps.push(SessionStep::Final);
    }
    steps
}

fn is_over(session: &Session) -> bool {
    matches!(
        session.status(),
        SessionStatus::Final | SessionStatus::Refunded
    )
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{DrawnLeaf, SessionSettlement};

    use super::*;

    fn said(receipt: Option<&str>) -> Said {
        Said {
            text: "Paris".into(),
            first_token: Duration::ZERO,
            whole: Duration::ZERO,
            receipt: receipt.map(Into::into),
        }
    }

    #[test]
    fn a_receipt_names_session_and_number() {
        let of = |receipt| Ordered::of(said(receipt), Instant::now());
        let ordered = of(Some("12-3")).unwrap();
        assert_eq!((ordered.session, ordered.number), (12, 3));
        for receipt in [None, Some(""), Some("12"), Some("a-3")] {
            assert!(matches!(of(receipt), Err(Error::Contents { .. })));
        }
    }

    #[test]
    fn states_in_between_may_be_missed() {
        let open = Session {
            status: SessionStatus::Open.into(),
            ..Session::default()
        };
        let settlement = SessionSettlement {
            count: 2,
            amount: 90,
            draw_height: 8,
            leaves: vec![DrawnLeaf {
                number: 1,
                task_id: 5,
                ..DrawnLeaf::default()
            }],
            ..SessionSettlement::default()
        };
        let scoring = Session {
            status: SessionStatus::Scoring.into(),
            settlement: Some(settlement),
            ..Session::default()
        };
        let settled = SessionStep::Settled {
            answers: 2,
            amount: 90,
        };
        let revealed = SessionStep::Revealed { task: 5 };
        assert_eq!(
            steps(&open, &scoring, 1),
            [settled.clone(), SessionStep::Drawn, revealed]
        );
        // The other answer was not drawn.
        assert_eq!(steps(&open, &scoring, 0), [settled, SessionStep::Drawn]);
        let last = Session {
            status: SessionStatus::Final.into(),
            ..scoring.clone()
        };
        assert_eq!(steps(&scoring, &last, 1), [SessionStep::Final]);
        assert!(steps(&last, &last, 1).is_empty());
    }
}
