//! Priority queue for a model: duties first, by due height, then answers of sessions and then guests,
//! both by arrival. Who finds no free slot preempts a guest; a duty that has waited too long preempts
//! an answer of a session.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::Step;

/// The origin of a request, in the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// The chain, for a step with this due height: a missed duty costs stake.
    Duty(Step, u64),
    /// The user of a session, who pays by the chain.
    Session,
    /// An HTTP client.
    Guest,
}

impl Asker {
    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duty(..) => "duty",
            Self::Session => "session",
            Self::Guest => "guest",
        }
    }
}

/// Too many askers of the same kind are waiting.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// Most requests that wait for a slot, besides duties: whoever creates these bounds them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    /// Answers of sessions.
    pub sessions: usize,
    /// Guests.
    pub guests: usize,
}

/// A number of slots, each for one running request.
pub struct Slots {
    all: usize,
    /// Most slots for sessions and guests. With two or more slots, one is left free, so that a duty
    /// never waits for them only.
    for_others: usize,
    queue: Queue,
    state: Mutex<State>,
}

/// A waiting or running request, with its number in order of arrival.
type Place = (Asker, u64);

#[derive(Default)]
struct State {
    arrivals: u64,
    waiting: BTreeMap<Place, oneshot::Sender<Slot>>,
    /// Waiting duties that preempt answers of sessions too.
    pressing: BTreeSet<Place>,
    duties: usize,
    /// Tokens that stop running sessions and guests.
    others: BTreeMap<Place, CancellationToken>,
}

impl State {
    fn begin(&mut self, place: Place, cut: &CancellationToken) {
        self.pressing.remove(&place);
        match place.0 {
            Asker::Duty(..) => self.duties += 1,
            Asker::Session | Asker::Guest => {
                self.others.insert(place, cut.clone());
            }
        }
    }

    fn end(&mut self, place: Place) {
        match place.0 {
            Asker::Duty(..) => self.duties -= 1,
            Asker::Session | Asker::Guest => {
                self.others.remove(&place);
            }
        }
    }

    /// Stops as many guests as there are waiting duties and sessions, and as many sessions as there are
    /// pressing duties without a guest to stop. The newest first: they lose the least work.
    fn make_room(&self) {
        let ending = self.others.values().filter(|cut| cut.is_cancelled());
        let ending = ending.count();
        let waiting = self.waiting.len() - self.waiting(is_guest);
        let cut = self.cut(is_guest, waiting.saturating_sub(ending));
        self.cut(is_session, self.pressing.len().saturating_sub(ending + cut));
    }

    /// Stops up to `most` running requests of a kind and returns their number.
    fn cut(&self, is_one: fn(Asker) -> bool, most: usize) -> usize {
        let going_on = self
            .others
            .iter()
            .rev()
            .filter(|((asker, _), cut)| is_one(*asker) && !cut.is_cancelled());
        let cut = going_on.take(most).map(|(_, cut)| cut.cancel()).count();
        counter!("poq_worker_preempted_total").increment(cut as u64);
        cut
    }

    fn waiting(&self, is_one: fn(Asker) -> bool) -> usize {
        let askers = self.waiting.keys().map(|(asker, _)| *asker);
        askers.filter(|asker| is_one(*asker)).count()
    }

    fn running(&self, is_one: fn(Asker) -> bool) -> usize {
        let askers = self.others.keys().map(|(asker, _)| *asker);
        askers.filter(|asker| is_one(*asker)).count()
    }

    fn publish(&self) {
        for (asker, running, waiting) in [
            ("duty", self.duties, self.waiting(is_duty)),
            (
                "session",
                self.running(is_session),
                self.waiting(is_session),
            ),
            ("guest", self.running(is_guest), self.waiting(is_guest)),
        ] {
            gauge!("poq_worker_running", "asker" => asker).set(running as f64);
            gauge!("poq_worker_waiting", "asker" => asker).set(waiting as f64);
        }
    }
}

fn is_duty(asker: Asker) -> bool {
    matches!(asker, Asker::Duty(..))
}

fn is_session(asker: Asker) -> bool {
    asker == Asker::Session
}

fn is_guest(asker: Asker) -> bool {
    asker == Asker::Guest
}

impl Slots {
    /// `all` slots, at least one, and room to wait.
    pub fn new(all: usize, queue: Queue) -> Arc<Self> {
        let all = all.max(1);
        Arc::new(Self {
            all,
            for_others: (all - 1).max(1),
            queue,
            state: Mutex::default(),
        })
    }

    /// Number of slots in use.
    pub fn running(&self) -> usize {
        let state = self.lock();
        state.duties + state.others.len()
    }

    /// Joins the queue.
    ///
    /// # Errors
    /// [`Full`], never for duties.
    pub fn join(self: &Arc<Self>, asker: Asker) -> Result<Waiting, Full> {
        let (sender, receiver) = oneshot::channel();
        let (key, ahead) = {
            let mut state = self.lock();
            let is_full = match asker {
                Asker::Duty(..) => false,
                Asker::Session => state.waiting(is_session) >= self.queue.sessions,
                Asker::Guest => state.waiting(is_guest) >= self.queue.guests,
            };
            if is_full && !self.has_room(&state, asker) {
                return Err(Full);
            }
            let key = (asker, state.arrivals);
            state.arrivals += 1;
            let ahead = state.waiting.range(..key).count();
            state.waiting.insert(key, sender);
            (key, ahead)
        };
        let waiting = Waiting {
            slots: self.clone(),
            key,
            ahead,
            since: Instant::now(),
            patience: None,
            receiver,
        };
        self.advance();
        self.lock().make_room();
        Ok(waiting)
    }

    /// Makes a waiting duty preempt answers of sessions.
    fn press(&self, place: Place) {
        let mut state = self.lock();
        if state.waiting.contains_key(&place) {
            state.pressing.insert(place);
            state.make_room();
        }
    }

    fn has_room(&self, state: &State, asker: Asker) -> bool {
        let is_allowed = is_duty(asker) || state.others.len() < self.for_others;
        is_allowed && state.duties + state.others.len() < self.all
    }

    /// Gives free slots to the first in the queue.
    fn advance(self: &Arc<Self>) {
        while let Some((key, cut, sender)) = self.next() {
            // If the receiver was dropped just now, the slot is returned and free again.
            let _ = sender.send(Slot {
                slots: self.clone(),
                key,
                cut,
            });
        }
        self.lock().publish();
    }

    fn next(&self) -> Option<(Place, CancellationToken, oneshot::Sender<Slot>)> {
        let mut state = self.lock();
        let ((asker, _), _) = state.waiting.first_key_value()?;
        if !self.has_room(&state, *asker) {
            return None;
        }
        let (place, sender) = state.waiting.pop_first()?;
        let cut = CancellationToken::new();
        state.begin(place, &cut);
        Some((place, cut, sender))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue; dropping it leaves the queue.
pub struct Waiting {
    slots: Arc<Slots>,
    key: Place,
    ahead: usize,
    since: Instant,
    patience: Option<Duration>,
    receiver: oneshot::Receiver<Slot>,
}

impl Waiting {
    /// Requests that were to begin before this one when it joined the queue.
    pub fn ahead(&self) -> usize {
        self.ahead
    }

    /// For a duty: preempts answers of sessions after waiting this long.
    pub fn pressing_after(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Waits for a slot; `None` when the queue is gone.
    pub async fn slot(mut self) -> Option<Slot> {
        let early = match self.patience {
            Some(patience) => timeout(patience, &mut self.receiver).await.ok(),
            None => None,
        };
        let slot = match early {
            Some(slot) => slot.ok()?,
            None => {
                if self.patience.is_some() {
                    self.slots.press(self.key);
                }
                (&mut self.receiver).await.ok()?
            }
        };
        let asker = self.key.0.name();
        histogram!("poq_worker_queue_seconds", "asker" => asker).record(self.since.elapsed());
        Some(slot)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        state.pressing.remove(&self.key);
        if state.waiting.remove(&self.key).is_some() {
            state.publish();
        }
    }
}

/// A slot in use; dropping it admits the next request.
pub struct Slot {
    slots: Arc<Slots>,
    key: Place,
    cut: CancellationToken,
}

impl Slot {
    /// Waits until somebody who goes before needs the slot; forever if a duty holds it.
    pub async fn is_needed(&self) {
        self.cut.cancelled().await;
    }

    /// Whether somebody who goes before needs the slot.
    pub fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().end(self.key);
        self.slots.advance();
    }
}

#[cfg(test)]
mod tests;
