//! Which session answers a request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use poq_proto::v1::Chat;
use tokio::sync::Notify;
use tokio::time::timeout_at;
use tracing::warn;

use super::live::Live;
use crate::ask::{Ask, Misfit, Tier};
use crate::money::{NoRoom, Ordered};
use crate::store::sessions::State;
use crate::store::{Store, now, quarantine};

/// How long a request waits for a place.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest pause between two looks for one.
const LOOK: Duration = Duration::from_millis(200);

/// What a session can be used for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PoolId {
    /// Model id.
    pub model: String,
    /// Which answers are scored.
    pub tier: Tier,
}

/// Why no session takes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// None is open yet; one is being opened.
    Opening,
    /// All that are open are full.
    Full,
    /// All that are open were tried.
    Exhausted,
    /// None of the terms of the open ones fits.
    Misfit(Misfit),
}

/// A place in a session, given back when dropped.
pub(crate) struct Place {
    /// The session.
    pub live: Arc<Live>,
    /// The chat as it is ordered there.
    pub chat: Chat,
    /// What is ordered.
    pub ordered: Ordered,
    /// How long the request waited for it.
    pub waited: Duration,
    pub(super) roster: Arc<Roster>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.inner().book.release(self.ordered.ceiling);
        self.roster.room.notify_waiters();
    }
}

/// All sessions that take orders or finish them, and the pools that are wanted.
#[derive(Default)]
pub(crate) struct Roster {
    sessions: Mutex<BTreeMap<u64, Arc<Live>>>,
    wanted: Mutex<BTreeMap<PoolId, Instant>>,
    /// Told when a place may be free.
    pub(super) room: Notify,
    /// Told when a pool needs sessions.
    pub(super) need: Notify,
}

impl Roster {
    /// Adds a session.
    pub(crate) fn add(&self, live: Arc<Live>) {
        self.lock().insert(live.id, live);
        self.room.notify_waiters();
    }

    /// Removes a session that is closed.
    pub(crate) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// All sessions.
    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.lock().values().cloned().collect()
    }

    /// Sessions of a pool that take orders.
    pub(crate) fn open(&self, pool: &PoolId) -> Vec<Arc<Live>> {
        let mut all = self.all();
        all.retain(|live| live.pool == *pool && live.inner().state == State::Open);
        all
    }

    /// A node broke the protocol, or its answers are poor: none of its sessions takes orders any more, and
    /// no other one is used until its quarantine is over.
    pub(crate) fn quarantine(&self, operator: &str, reason: &str, store: &Store) {
        warn!(node = operator, "the node is in quarantine: {reason}");
        for live in self.all() {
            if live.operator() == operator {
                live.leave(store);
            }
        }
        let (operator, reason) = (operator.to_owned(), reason.to_owned());
        store.note(move |db| quarantine::add(db, &operator, &reason, now()));
        self.need.notify_one();
    }

    /// Pools that somebody asked for since `since`.
    pub(crate) fn wanted(&self, since: Instant) -> Vec<PoolId> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|_, asked| *asked >= since);
        wanted.keys().cloned().collect()
    }

    /// Places may be free.
    pub(crate) fn make_room(&self) {
        self.room.notify_waiters();
    }

    /// Remembers that somebody asked for a pool.
    pub(crate) fn want(&self, pool: &PoolId) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.insert(pool.clone(), Instant::now());
    }

    /// A place for a request in a session that is not among the `tried` ones; waits for one while all
    /// are full.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub(crate) async fn place(
        self: &Arc<Self>,
        ask: &Ask,
        tried: &BTreeSet<u64>,
    ) -> Result<Place, NoPlace> {
        let pool = PoolId {
            model: ask.chat.model.clone(),
            tier: ask.tier,
        };
        self.want(&pool);
        let start = tokio::time::Instant::now();
        let deadline = start + PATIENCE;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // From here on no notification is missed.
            room.as_mut().enable();
            match self.try_place(&pool, ask, tried) {
                Err(NoPlace::Full) => {}
                placed => {
                    return placed.map(|mut place| {
                        place.waited = start.elapsed();
                        place
                    });
                }
            }
            let now = tokio::time::Instant::now();
            if now >= deadline {
                return Err(NoPlace::Full);
            }
            // Nobody tells when a node has rested.
            let _ = timeout_at(deadline.min(now + LOOK), room).await;
        }
    }

    fn try_place(
        self: &Arc<Self>,
        pool: &PoolId,
        ask: &Ask,
        tried: &BTreeSet<u64>,
    ) -> Result<Place, NoPlace> {
        let mut open = self.open(pool);
        let is_any_open = !open.is_empty();
        open.retain(|live| !tried.contains(&live.id));
        if open.is_empty() {
            self.need.notify_one();
            return Err(match is_any_open {
                true => NoPlace::Exhausted,
                false => NoPlace::Opening,
            });
        }
        prefer(&mut open, ask);
        let mut is_full = false;
        let mut misfit = None;
        for live in open {
            let (chat, ordered) = match ask.fitted(&live.terms(), &live.rules()) {
                Ok(fitted) => fitted,
                Err(reason) => {
                    misfit = Some(reason);
                    continue;
                }
            };
            let mut inner = live.inner();
            let rests = inner
                .rests_until
                .is_some_and(|until| until > Instant::now());
            if rests || inner.book.is_in_doubt() {
                is_full = true;
                continue;
            }
            let window = inner.window();
            match inner.book.reserve(ordered.ceiling, window) {
                Ok(()) => {
                    drop(inner);
                    return Ok(Place {
                        live,
                        chat,
                        ordered,
                        waited: Duration::ZERO,
                        roster: self.clone(),
                    });
                }
                Err(NoRoom::Window) => is_full = true,
                Err(NoRoom::Escrow) => {
                    is_full = true;
                    self.need.notify_one();
                }
            }
        }
        match misfit {
            Some(misfit) if !is_full => Err(NoPlace::Misfit(misfit)),
            _ => Err(NoPlace::Full),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Live>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the session of the conversation first, then the others by load: a node keeps the beginning of a
/// conversation in its cache.
fn prefer(open: &mut [Arc<Live>], ask: &Ask) {
    let load = |live: &Arc<Live>| {
        let inner = live.inner();
        inner.book.next() - inner.book.count()
    };
    let [first, ..] = ask.conversation();
    let own = usize::from(first) % open.len().max(1);
    let own = open.get(own).map(|live| live.id);
    open.sort_by_cached_key(|live| (Some(live.id) != own, load(live)));
}
