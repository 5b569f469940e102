//! Orders an answer in a session.

use std::time::{Duration, Instant};

use poq_client::session::{Refusal, RefusalCode};
use poq_proto::Voucher;
use poq_proto::v1::Chat;
use tracing::{debug, warn};

use super::live::Live;
use super::roster::{Place, Roster};
use crate::ask::Ask;
use crate::money::Ordered;
use crate::store::sessions::{State, set_state};
use crate::store::{self, Store, duplicates, orders};
use crate::telemetry::{self, Sent};
use crate::upstream::{Error, Frames};

/// How long a busy node gets no orders of the session.
const REST: Duration = Duration::from_millis(500);

/// An order that a node has taken.
pub(crate) struct Placed {
    /// Its number in the session.
    pub number: u64,
    /// What is ordered.
    pub ordered: Ordered,
    /// The chat as it was ordered.
    pub chat: Chat,
    /// The answer.
    pub frames: Frames,
    /// When, for metrics.
    pub sent: Sent,
}

/// Why a session did not take an order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// All of its places are taken; another node may have one.
    #[error("the node is busy")]
    Busy,
    /// The session takes no orders; another one may.
    #[error("the session takes no orders any more")]
    Gone,
    /// The node could not be reached, or failed; another one may not.
    #[error("{0}")]
    Node(Error),
    /// No node will take it.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// It could not be stored, so it was not sent.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Live {
    /// Orders an answer: the voucher is stored, then sent. Must not be cancelled; run it in a task of its
    /// own.
    ///
    /// # Errors
    /// [`NotTaken`]. If it is unknown whether the node has taken the order, the session takes no other
    /// until that is known.
    pub(crate) async fn order(
        &self,
        store: &Store,
        place: &Place,
        ask: &Ask,
    ) -> Result<Placed, NotTaken> {
        let _turn = self.turn.lock().await;
        let ordered = place.ordered.clone();
        let voucher = {
            let inner = self.inner();
            if inner.state != State::Open || inner.book.is_in_doubt() {
                return Err(NotTaken::Gone);
            }
            inner.book.voucher(&ordered)
        };
        self.store_voucher(store, &voucher, &ordered, ask).await?;
        let sent = Sent {
            at: Instant::now(),
            waited: place.waited,
        };
        let answer = self.node.order(&voucher, place.chat.clone()).await;
        let at = (self.id, voucher.number, voucher.request);
        match answer {
            Ok(accepted) => {
                let mut inner = self.inner();
                let number = inner.book.accepted(ordered.clone());
                inner.book.acknowledged(voucher.count);
                inner.allow(accepted.window);
                drop(inner);
                store.note(move |db| orders::told(db, at, true));
                Ok(Placed {
                    number,
                    ordered,
                    chat: place.chat.clone(),
                    frames: accepted.frames,
                    sent,
                })
            }
            Err(error) => {
                telemetry::node_error(error.reason());
                if let Error::Refused(refusal) = error {
                    self.forget(store, &voucher, ask);
                    return Err(self.refused((store, &place.roster), refusal));
                }
                if let Error::Forged(reason) | Error::Forbidden(reason) = &error {
                    place.roster.quarantine(self.operator(), reason, store);
                }
                warn!(
                    session = self.id,
                    number = voucher.number,
                    "an order has no accept: {error}"
                );
                self.inner().book.doubted(ordered);
                Err(NotTaken::Node(error))
            }
        }
    }

    async fn store_voucher(
        &self,
        store: &Store,
        voucher: &Voucher,
        ordered: &Ordered,
        ask: &Ask,
    ) -> Result<(), store::Error> {
        let (voucher, ordered) = (*voucher, ordered.clone());
        let (asker, token) = (ask.asker.clone(), ask.token.clone());
        let change = move |db: &rusqlite::Connection| {
            orders::add(db, &voucher, &ordered, &asker)?;
            match token {
                Some(token) => {
                    duplicates::put(db, asker.key, &token, (voucher.session, voucher.number))
                }
                None => Ok(()),
            }
        };
        store.write(change).await
    }

    /// A refused order is as if it had never been.
    fn forget(&self, store: &Store, voucher: &Voucher, ask: &Ask) {
        let at = (voucher.session, voucher.number, voucher.request);
        let token = ask
            .token
            .as_ref()
            .map(|token| (ask.asker.key, token.digest));
        store.note(move |db| {
            orders::told(db, at, false)?;
            match token {
                Some((key, digest)) => duplicates::forget(db, key, digest, (at.0, at.1)),
                None => Ok(()),
            }
        });
    }

    fn refused(&self, (store, roster): (&Store, &Roster), refusal: Refusal) -> NotTaken {
        debug!(session = self.id, code = ?refusal.code, "an order was refused: {}", refusal.message);
        match refusal.code {
            RefusalCode::Busy => {
                self.rest();
                NotTaken::Busy
            }
            // The node's newest state may be a block behind.
            RefusalCode::Unauthorized | RefusalCode::NotFound | RefusalCode::Failed => {
                self.rest();
                NotTaken::Node(Error::Refused(refusal))
            }
            RefusalCode::Closed => {
                self.leave(store);
                NotTaken::Gone
            }
            // An order that was on its way for long may have come after all.
            RefusalCode::WrongNumber => {
                warn!(
                    session = self.id,
                    "the node counts otherwise: {}", refusal.message
                );
                self.leave(store);
                NotTaken::Gone
            }
            // The log is what the node itself signed.
            RefusalCode::WrongLog | RefusalCode::Escrow => {
                let reason = format!("it refused its own log: {}", refusal.message);
                roster.quarantine(self.operator(), &reason, store);
                NotTaken::Gone
            }
            RefusalCode::Chat
            | RefusalCode::Quality
            | RefusalCode::Price
            | RefusalCode::TooLarge
            | RefusalCode::Malformed => NotTaken::Refused(refusal),
        }
    }

    fn rest(&self) {
        self.inner().rests_until = Some(Instant::now() + REST);
    }

    /// Takes no new orders from now on.
    pub(crate) fn leave(&self, store: &Store) {
        if self.inner().drain() {
            let id = self.id;
            store.note(move |db| set_state(db, id, State::Draining));
        }
    }
}
