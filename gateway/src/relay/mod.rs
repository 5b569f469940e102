//! One request from its order to its receipt: a task of its own, so that a client that leaves does not
//! take the money's account with it.

mod answer;
mod failure;
mod follow;
mod run;
mod timing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use answer::{Answer, Done, Origin, Part, Reader};
pub(crate) use failure::Failure;
pub(crate) use timing::Timing;

use crate::ask::Ask;
use crate::keys::Credits;
use crate::pool::{Catalog, Roster};
use crate::quality::Estimates;
use crate::store::duplicates::Token;
use crate::store::{self, Store, duplicates};
use crate::telemetry::Clock;

/// How long a client may wait until it repeats a request that no node took.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a body is recognised again without an idempotency key, seconds.
const MEMORY: u64 = 600;

/// What requests share.
pub(crate) struct Relay {
    /// The database.
    pub store: Arc<Store>,
    /// The sessions.
    pub roster: Arc<Roster>,
    /// The chain as it was last seen.
    pub catalog: Arc<Catalog>,
    /// How long nodes and clients may be silent.
    pub timing: Timing,
    /// Where answers are scored, if they are.
    pub estimates: Estimates,
    /// Answers that nodes write at the moment.
    writing: Mutex<Writing>,
    /// What groups have on hold.
    pub credits: Arc<Credits>,
    /// Requests in progress, by API key and token.
    pending: Mutex<HashMap<Name, Pending>>,
    /// When requests ended that no node took: their repetitions are new requests.
    refused: Mutex<HashMap<Name, Vec<Instant>>>,
}

/// API key and digest of a token.
type Name = (i64, [u8; 32]);

/// Answers by session and number, with their API keys.
type Writing = HashMap<(u64, u64), (i64, Arc<Answer>)>;

/// A request in progress.
struct Pending {
    /// SHA-256 of its body.
    body: [u8; 32],
    answer: Arc<Answer>,
}

/// What a request gets.
pub(crate) enum Given {
    /// An answer, new or already in progress.
    Answer(Reader),
    /// An answer that an earlier request with the same token got.
    Earlier((u64, u64)),
    /// The token belongs to another body.
    OtherBody,
}

impl Relay {
    /// Without requests.
    pub(crate) fn new(
        store: Arc<Store>,
        roster: Arc<Roster>,
        catalog: Arc<Catalog>,
        credits: Arc<Credits>,
    ) -> Self {
        Self {
            store,
            roster,
            catalog,
            timing: Timing::default(),
            estimates: Estimates::default(),
            writing: Mutex::default(),
            credits,
            pending: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// Starts to answer a request, or finds the answer that its token has already. `is_repetition` says
    /// that the client sends it again; without that only a client's own key is trusted. `ceiling` is what a
    /// group's credit must hold for it, base units.
    ///
    /// # Errors
    /// [`Failure::NoCredit`], or [`Failure::Internal`].
    pub(crate) fn give(
        self: &Arc<Self>,
        ask: Ask,
        ceiling: u64,
        is_repetition: bool,
    ) -> Result<Given, Failure> {
        if let (Some(token), true) = (&ask.token, is_repetition)
            && !self.was_refused((ask.asker.key, token.digest))
            && let Some(given) = self.given_before(ask.asker.key, token)?
        {
            metrics::counter!("poq_gateway_duplicates_total").increment(1);
            return Ok(given);
        }
        let group = ask.asker.group;
        let hold = self.credits.hold(group, group.map_or(0, |_| ceiling))?;
        let answer = Arc::new(Answer::default());
        let reader = answer.reader().timed(Clock::start(ask.is_stream));
        let name = ask.token.as_ref().map(|token| {
            let name = (ask.asker.key, token.digest);
            let (body, answer) = (token.body, answer.clone());
            self.lock().insert(name, Pending { body, answer });
            name
        });
        let relay = self.clone();
        tokio::spawn(async move {
            let (end, is_taken) = run::run(relay.clone(), ask, hold, answer.clone()).await;
            // Before anybody hears of the end, and repeats the request.
            if let Some(name) = name {
                relay.forget(name, &answer, is_taken);
            }
            answer.end(end);
        });
        Ok(Given::Answer(reader))
    }

    /// An answer of an API key that a node writes at the moment, from the start of its text.
    pub(crate) fn in_progress(&self, key: i64, order: (u64, u64)) -> Option<Reader> {
        let writing = self.writing();
        let (owner, answer) = writing.get(&order)?;
        (*owner == key).then(|| answer.reader_of(order))
    }

    /// What an earlier request with a token got.
    fn given_before(&self, key: i64, token: &Token) -> Result<Option<Given>, store::Error> {
        let given = |body: [u8; 32], given| match body == token.body {
            true => given,
            false => Given::OtherBody,
        };
        if let Some(pending) = self.lock().get(&(key, token.digest)) {
            let reader = pending.answer.reader();
            return Ok(Some(given(pending.body, Given::Answer(reader))));
        }
        let digest = token.digest;
        let earlier = self.store.read(|db| duplicates::find(db, key, digest))?;
        let is_fresh = |created: u64| created.saturating_add(MEMORY) >= store::now();
        let earlier = earlier.filter(|earlier| is_fresh(earlier.created));
        Ok(earlier.map(|earlier| given(earlier.body, Given::Earlier(earlier.order))))
    }

    /// A request has ended; a later one may have its name.
    fn forget(&self, name: Name, answer: &Arc<Answer>, is_taken: bool) {
        let mut pending = self.lock();
        let own = pending.get(&name);
        if own.is_some_and(|own| Arc::ptr_eq(&own.answer, answer)) {
            pending.remove(&name);
        }
        drop(pending);
        if !is_taken {
            let mut refused = self.refused();
            refused.retain(|_, times| times.iter().any(|time| time.elapsed() < PATIENCE));
            refused.entry(name).or_default().push(Instant::now());
        }
    }

    /// Whether a repetition is that of a request which no node took, and not that of another one with
    /// an equal body. Each such request is repeated once.
    fn was_refused(&self, name: Name) -> bool {
        let mut refused = self.refused();
        let Some(times) = refused.get_mut(&name) else {
            return false;
        };
        times.retain(|time| time.elapsed() < PATIENCE);
        times.pop().is_some()
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<Name, Vec<Instant>>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
