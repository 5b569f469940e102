//! One session that the chain has opened.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use poq_proto::v1;
use tokio::sync::Notify;

use super::roster::PoolId;
use crate::money::{Book, Limits};
use crate::store::sessions::{State, Stored};
use crate::upstream::Node;

/// Window for a node that has not proven itself, orders.
const FIRST_WINDOW: u32 = 4;
/// The largest window that the gateway uses, whatever the node allows.
const LARGEST_WINDOW: u32 = 64;

/// A session with its node and its account.
pub(crate) struct Live {
    /// Its id.
    pub id: u64,
    /// What it is for.
    pub pool: PoolId,
    /// The chain's record when it was opened.
    pub record: v1::Session,
    /// Its node.
    pub node: Node,
    /// Held while an order is sent or answers are acknowledged: numbers are given out one by one.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Wakes the task that acknowledges.
    pub(super) answered: Notify,
    inner: Mutex<Inner>,
}

/// What changes.
pub(crate) struct Inner {
    /// The account.
    pub book: Book,
    /// Where it stands.
    pub state: State,
    /// Until then the node gets no orders.
    pub rests_until: Option<Instant>,
    /// When it was to be drained.
    pub draining_since: Option<Instant>,
    /// Numbers that the node has taken and whose answers nobody reads.
    pub orphans: BTreeSet<u64>,
    /// Whether a task finds out what the node has.
    pub is_recovering: bool,
    /// Whether the node contradicts itself, so that nothing more can be found out.
    pub is_hopeless: bool,
    /// What the node allows.
    told_window: u32,
    /// What the gateway risks.
    own_window: u32,
    /// Answers since the window was last doubled.
    answers: u32,
}

impl Inner {
    /// Orders that may be beyond the log at once.
    pub(crate) fn window(&self) -> u32 {
        self.told_window.min(self.own_window).max(1)
    }

    /// The node told its window.
    pub(crate) fn allow(&mut self, window: u32) {
        self.told_window = window;
    }

    /// A whole answer came. A window full of them doubles the window, as the node does.
    pub(crate) fn trust(&mut self) {
        self.answers += 1;
        if self.answers >= self.own_window {
            self.answers = 0;
            self.own_window = (self.own_window * 2).min(LARGEST_WINDOW);
        }
    }

    /// Whether it is unknown what the node has of the session.
    pub(crate) fn is_unclear(&self) -> bool {
        self.book.is_in_doubt() || !self.orphans.is_empty()
    }

    /// Takes no new orders from now on. Returns whether it took some until now.
    pub(crate) fn drain(&mut self) -> bool {
        let is_open = self.state == State::Open;
        if is_open {
            self.state = State::Draining;
            self.draining_since = Some(Instant::now());
        }
        is_open
    }
}

impl Live {
    /// A session with the account that the store has of it.
    pub(crate) fn new(stored: Stored, pool: PoolId, node: Node, book: Book) -> Self {
        let Stored { record, state, .. } = stored;
        // After a start nobody reads what was ordered before.
        let orphans = book.waiting().into_iter().collect();
        Self {
            id: record.id,
            pool,
            node,
            turn: tokio::sync::Mutex::default(),
            answered: Notify::new(),
            inner: Mutex::new(Inner {
                book,
                state,
                rests_until: None,
                draining_since: (state == State::Draining).then(Instant::now),
                orphans,
                is_recovering: false,
                is_hopeless: false,
                told_window: FIRST_WINDOW,
                own_window: FIRST_WINDOW,
                answers: 0,
            }),
            record,
        }
    }

    /// What changes; never held across an await.
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is ordered, unanswered or unacknowledged, as far as the node allows it: of one that
    /// contradicts itself nothing more is expected.
    pub(super) fn is_settled(&self) -> bool {
        let is_ordering = self.turn.try_lock().is_err();
        let inner = self.inner();
        let is_read = |number: &u64| !inner.orphans.contains(number);
        let is_lost = inner.is_hopeless
            && !is_ordering
            && !inner.book.waiting().iter().any(is_read)
            && inner.book.bare().is_none();
        is_lost || inner.book.is_settled()
    }

    /// Has answers acknowledged even if no order follows.
    pub(crate) fn acknowledge_soon(&self) {
        self.answered.notify_one();
    }

    /// Address of the node's operator.
    pub(crate) fn operator(&self) -> &str {
        self.record.node.as_ref().map_or("", |node| &node.operator)
    }

    /// Height from which it takes no more orders.
    pub(crate) fn ends_at(&self) -> u64 {
        let drawn = self.record.node.as_ref().map_or(0, |node| node.height);
        drawn.saturating_add(self.record.blocks)
    }

    /// By which its answers are paid.
    pub(crate) fn terms(&self) -> v1::Terms {
        self.record.terms.unwrap_or_default()
    }

    /// The rules that it was opened under.
    pub(crate) fn rules(&self) -> v1::SessionRules {
        self.record.rules.unwrap_or_default()
    }
}

/// What a session may cost.
pub(super) fn limits(record: &v1::Session) -> Limits {
    Limits {
        escrow: record.escrow,
        order_price: record.rules.map_or(0, |rules| rules.max_order_price),
    }
}
