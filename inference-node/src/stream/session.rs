//! One session as its node keeps it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use poq_client::session::SessionState;
use poq_proto::v1::{self, SessionScoring};

use super::answer::Live;
use super::journal::{Kept, Signed};
use super::log::{Allowed, Asked, Log};
use super::pay::Pay;
use super::window::Window;

/// A session that this node serves.
pub(super) struct Session {
    /// The record when the first order came; its terms and rules do not change.
    pub(super) record: v1::Session,
    state: Mutex<State>,
}

/// What changes.
pub(super) struct State {
    /// Orders and leaves.
    pub(super) log: Log,
    /// Orders that may be beyond the acknowledged ones.
    pub(super) window: Window,
    /// The newest voucher.
    pub(super) newest: Option<Signed>,
    /// Answers that are not in the log yet.
    pub(super) live: HashMap<u64, Arc<Live>>,
    /// Height since which nothing is left but to wait for acknowledgements; set once the session takes
    /// no more orders.
    pub(super) ending: Option<u64>,
    /// What its last answers earn, if the node scores them.
    pub(super) pay: Pay,
    /// True once an order could not be stored: which number is the next is known after a restart.
    pub(super) is_broken: bool,
}

impl Session {
    /// A session without orders.
    pub(super) fn new(record: v1::Session, window: Window) -> Self {
        let state = State {
            log: Log::new(allowed(&record)),
            window,
            newest: None,
            live: HashMap::new(),
            ending: None,
            pay: Pay::default(),
            is_broken: false,
        };
        Self {
            record,
            state: Mutex::new(state),
        }
    }

    /// A session from the journal.
    pub(super) fn kept(kept: Kept, window: Window) -> Self {
        let session = Self::new(kept.record, window);
        {
            let mut state = session.lock();
            for (number, order) in (0..).zip(&kept.orders) {
                state.log.order(asked(&order.chat));
                state.log.finish(number, order.ended);
            }
            if let Some(signed) = kept.newest {
                state.log.acknowledge(signed.voucher.count);
            }
            state.newest = kept.newest;
        }
        session
    }

    /// The state; not to be held across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the user may know.
    pub(super) fn public(&self) -> SessionState {
        SessionState {
            next: self.log.next(),
            count: self.log.count(),
            acknowledged: self.log.acknowledged(),
            open: self.log.open().collect(),
            window: self.window.size(),
        }
    }

    /// Keeps a voucher that was checked. Returns the window, if it has grown.
    pub(super) fn take(&mut self, signed: Signed) -> Option<u32> {
        self.newest = Some(signed);
        let new = self.log.acknowledge(signed.voucher.count);
        self.window.acknowledge(new).then(|| self.window.size())
    }
}

fn allowed(record: &v1::Session) -> Allowed {
    let rules = record.rules.unwrap_or_default();
    Allowed {
        terms: record.terms.unwrap_or_default(),
        escrow: record.escrow,
        max_order_price: rules.max_order_price,
        max_orders: (record.scoring() == SessionScoring::All).then(|| rules.max_all_leaves.into()),
    }
}

/// What a stored chat, which was checked before, asks for.
fn asked(chat: &v1::Chat) -> Asked {
    Asked {
        request: chat.digest(),
        prompt_bytes: chat.prompt_bytes().try_into().unwrap_or(u32::MAX),
        max_answer_bytes: chat.max_answer_bytes,
        min_quality: chat.min_quality,
    }
}
