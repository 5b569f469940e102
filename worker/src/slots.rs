//! Priority queue for a model: duties first, by due height, then guests by arrival. A duty that
//! finds no free slot preempts a guest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use metrics::{counter, gauge, histogram};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::Step;

/// The origin of a request. Duties come before guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// The chain, for a step with this due height: a missed duty costs stake.
    Duty(Step, u64),
    /// An HTTP client.
    Guest,
}

impl Asker {
    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duty(..) => "duty",
            Self::Guest => "guest",
        }
    }
}

/// Too many guests are waiting.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// A number of slots, each for one running request.
pub struct Slots {
    all: usize,
    /// Most slots for guests. With two or more slots, one is left free, so that a duty never waits
    /// for guests only.
    for_guests: usize,
    waiting_guests: usize,
    state: Mutex<State>,
}

/// A waiting or running request, with its number in order of arrival.
type Place = (Asker, u64);

#[derive(Default)]
struct State {
    arrivals: u64,
    waiting: BTreeMap<Place, oneshot::Sender<Slot>>,
    duties: usize,
    /// Tokens that stop running guests, by arrival.
    guests: BTreeMap<u64, CancellationToken>,
}

impl State {
    fn begin(&mut self, asker: Asker, number: u64, cut: &CancellationToken) {
        match asker {
            Asker::Duty(..) => self.duties += 1,
            Asker::Guest => {
                self.guests.insert(number, cut.clone());
            }
        }
    }

    fn end(&mut self, asker: Asker, number: u64) {
        match asker {
            Asker::Duty(..) => self.duties -= 1,
            Asker::Guest => {
                self.guests.remove(&number);
            }
        }
    }

    /// Stops as many guests as there are waiting duties, the newest first: they lose the least
    /// work.
    fn make_room(&self) {
        let (ending, going_on): (Vec<_>, Vec<_>) =
            self.guests.values().partition(|cut| cut.is_cancelled());
        let needed = self.waiting_duties().saturating_sub(ending.len());
        for cut in going_on.into_iter().rev().take(needed) {
            cut.cancel();
            counter!("poq_worker_preempted_total").increment(1);
        }
    }

    fn waiting_duties(&self) -> usize {
        let askers = self.waiting.keys().map(|(asker, _)| asker);
        askers.filter(|asker| **asker != Asker::Guest).count()
    }

    fn waiting_guests(&self) -> usize {
        self.waiting.len() - self.waiting_duties()
    }

    fn publish(&mut self) {
        for (asker, running, waiting) in [
            ("duty", self.duties, self.waiting_duties()),
            ("guest", self.guests.len(), self.waiting_guests()),
        ] {
            gauge!("poq_worker_running", "asker" => asker).set(running as f64);
            gauge!("poq_worker_waiting", "asker" => asker).set(waiting as f64);
        }
    }
}

impl Slots {
    /// `all` slots, at least one, and a queue for up to `waiting_guests` guests.
    pub fn new(all: usize, waiting_guests: usize) -> Arc<Self> {
        let all = all.max(1);
        Arc::new(Self {
            all,
            for_guests: (all - 1).max(1),
            waiting_guests,
            state: Mutex::default(),
        })
    }

    /// Number of slots in use.
    pub fn running(&self) -> usize {
        let state = self.lock();
        state.duties + state.guests.len()
    }

    /// Joins the queue.
    ///
    /// # Errors
    /// [`Full`], for guests only: the caller bounds the duties.
    pub fn join(self: &Arc<Self>, asker: Asker) -> Result<Waiting, Full> {
        let (sender, receiver) = oneshot::channel();
        let key = {
            let mut state = self.lock();
            let key = (asker, state.arrivals);
            state.arrivals += 1;
            let is_full = state.waiting_guests() >= self.waiting_guests;
            if asker == Asker::Guest && is_full && !self.has_room(&state, asker) {
                return Err(Full);
            }
            state.waiting.insert(key, sender);
            key
        };
        let waiting = Waiting {
            slots: self.clone(),
            key,
            since: Instant::now(),
            receiver,
        };
        self.advance();
        self.lock().make_room();
        Ok(waiting)
    }

    fn has_room(&self, state: &State, asker: Asker) -> bool {
        let is_allowed = asker != Asker::Guest || state.guests.len() < self.for_guests;
        is_allowed && state.duties + state.guests.len() < self.all
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
        let ((asker, number), sender) = state.waiting.pop_first()?;
        let cut = CancellationToken::new();
        state.begin(asker, number, &cut);
        Some(((asker, number), cut, sender))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue; dropping it leaves the queue.
pub struct Waiting {
    slots: Arc<Slots>,
    key: Place,
    since: Instant,
    receiver: oneshot::Receiver<Slot>,
}

impl Waiting {
    /// Waits for a slot; `None` when the queue is gone.
    pub async fn slot(mut self) -> Option<Slot> {
        let slot = (&mut self.receiver).await.ok()?;
        let asker = self.key.0.name();
        histogram!("poq_worker_queue_seconds", "asker" => asker).record(self.since.elapsed());
        Some(slot)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
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
    /// Waits until a duty needs the slot; forever if a duty holds it.
    pub async fn is_needed(&self) {
        self.cut.cancelled().await;
    }

    /// Whether a duty needs the slot.
    pub fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (asker, number) = self.key;
        self.slots.lock().end(asker, number);
        self.slots.advance();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const DUTY: Asker = Asker::Duty(Step::Answer, 9);

    fn join(slots: &Arc<Slots>, asker: Asker) -> Waiting {
        slots.join(asker).unwrap()
    }

    fn is_granted(waiting: &mut Waiting) -> Option<Slot> {
        (&mut waiting.receiver).now_or_never()?.ok()
    }

    #[test]
    fn duties_are_served_before_guests_who_came_earlier() {
        let slots = Slots::new(1, 8);
        let running = is_granted(&mut join(&slots, Asker::Guest)).unwrap();
        let mut guest = join(&slots, Asker::Guest);
        let (mut first, mut second) = (join(&slots, DUTY), join(&slots, DUTY));
        assert!(is_granted(&mut first).is_none());
        drop(running);
        let running = is_granted(&mut first).unwrap();
        assert!(is_granted(&mut second).is_none() && is_granted(&mut guest).is_none());
        drop(running);
        let running = is_granted(&mut second).unwrap();
        assert!(is_granted(&mut guest).is_none());
        drop(running);
        assert!(is_granted(&mut guest).is_some());
    }

    #[test]
    fn guests_leave_one_slot_to_duties() {
        let slots = Slots::new(3, 8);
        let mut guests: Vec<Waiting> = (0..3).map(|_| join(&slots, Asker::Guest)).collect();
        let running: Vec<Slot> = guests.iter_mut().filter_map(is_granted).collect();
        assert_eq!(running.len(), 2);
        let duty = is_granted(&mut join(&slots, DUTY)).unwrap();
        drop(duty);
        assert!(is_granted(&mut guests[2]).is_none());
        drop(running);
        assert!(is_granted(&mut guests[2]).is_some());
        // Duties may use all of them.
        let mut duties: Vec<Waiting> = (0..4).map(|_| join(&slots, DUTY)).collect();
        let running: Vec<Slot> = duties.iter_mut().filter_map(is_granted).collect();
        assert_eq!(running.len(), 3);
    }

    #[test]
    fn a_duty_takes_the_slot_of_the_newest_guest_if_none_is_free() {
        let slots = Slots::new(3, 8);
        let mut guests = [join(&slots, Asker::Guest), join(&slots, Asker::Guest)];
        let mut running: Vec<Slot> = guests.iter_mut().filter_map(is_granted).collect();
        let _first = is_granted(&mut join(&slots, DUTY)).unwrap();
        let cut = |running: &[Slot]| running.iter().map(Slot::is_cut).collect::<Vec<_>>();
        assert_eq!(cut(&running), [false, false], "there was a free slot");
        let mut second = join(&slots, DUTY);
        assert_eq!(cut(&running), [false, true]);
        let mut third = join(&slots, DUTY);
        assert_eq!(cut(&running), [true, true]);
        // Not more than there are.
        let _fourth = join(&slots, DUTY);
        assert!(is_granted(&mut second).is_none());
        running.pop();
        let second = is_granted(&mut second).unwrap();
        assert!(is_granted(&mut third).is_none() && !second.is_cut());
        running.pop();
        assert!(is_granted(&mut third).is_some());
    }

    #[test]
    fn the_line_of_guests_is_bounded_and_who_leaves_makes_room() {
        let slots = Slots::new(1, 1);
        let running = is_granted(&mut join(&slots, Asker::Guest)).unwrap();
        let waiting = join(&slots, Asker::Guest);
        assert!(slots.join(Asker::Guest).is_err());
        assert!(slots.join(DUTY).is_ok());
        drop(waiting);
        let mut last = join(&slots, Asker::Guest);
        drop(running);
        assert!(is_granted(&mut last).is_some());
    }

    #[test]
    fn a_granted_slot_that_nobody_takes_is_free_again() {
        let slots = Slots::new(1, 0);
        drop(join(&slots, Asker::Guest));
        assert!(is_granted(&mut join(&slots, Asker::Guest)).is_some());
    }
}
