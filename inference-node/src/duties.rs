//! Which duty is done next, which is too late, and which answer is handed in again. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use poq_proto::v1::{Duty, TaskStatus};

use crate::journal::DutyKey;

/// Blocks after which an answer that the chain still asks for is handed in once more.
const RESUBMIT_AFTER: u64 = 4;

/// An answer to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The duty.
    pub key: DutyKey,
    /// Last block that may include the answer.
    pub due_height: u64,
    /// Id of the model that must answer.
    pub model: String,
}

/// What the worker has of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// An entry of an earlier process, of which nobody has looked yet what it answers.
    Unchecked,
    /// An answer to this very duty.
    Checked,
}

/// What follows from a new height.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Answers to hand in now.
    pub submit: Vec<DutyKey>,
    /// Entries of the journal to compare with what is asked.
    pub check: Vec<DutyKey>,
    /// Duties that cannot be done in time any more, each told once.
    pub too_late: Vec<DutyKey>,
    /// Running generations that must end: their answer is due, or nobody waits for it any more.
    pub stop: Vec<DutyKey>,
}

#[derive(Debug)]
struct Running {
    due_height: u64,
    /// Not listed any more: its user cancelled it, or its window is over.
    unwanted: bool,
}

/// The duties of this node as far as it knows them.
#[derive(Debug)]
pub struct Duties {
    margin: u64,
    capacity: usize,
    in_hand: usize,
    waiting: BTreeMap<(u64, DutyKey), Assigned>,
    running: BTreeMap<DutyKey, Running>,
    /// When it was handed in.
    submitted: BTreeMap<DutyKey, u64>,
    /// On its way.
    sending: BTreeSet<DutyKey>,
    checking: BTreeSet<DutyKey>,
    /// How many items the next batch with the duty may have.
    most: BTreeMap<DutyKey, usize>,
    due: BTreeMap<DutyKey, u64>,
    given_up: BTreeSet<DutyKey>,
}

impl Duties {
    /// No duties yet. Answers are handed in `margin` blocks before they are due; at most
    /// `capacity` duties wait, and `in_hand` are started.
    pub fn new(margin: u64, capacity: usize, in_hand: usize) -> Self {
        Self {
            margin,
            capacity,
            in_hand,
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            submitted: BTreeMap::new(),
            sending: BTreeSet::new(),
            checking: BTreeSet::new(),
            most: BTreeMap::new(),
            due: BTreeMap::new(),
            given_up: BTreeSet::new(),
        }
    }

    /// Takes over what the chain lists at `height`; `kept` says what there is of an answer.
    pub fn update(
        &mut self,
        height: u64,
        listed: &[Duty],
        kept: impl Fn(DutyKey) -> Kept,
    ) -> Actions {
        let listed: BTreeMap<DutyKey, Assigned> = listed
            .iter()
            .filter(|duty| duty.phase() == TaskStatus::Assigned)
            .map(assigned)
            .map(|duty| (duty.key, duty))
            .collect();
        self.waiting.retain(|(_, key), _| listed.contains_key(key));
        self.submitted.retain(|key, _| listed.contains_key(key));
        self.most.retain(|key, _| listed.contains_key(key));
        self.given_up.retain(|key| listed.contains_key(key));

        let mut actions = Actions::default();
        for (key, running) in &mut self.running {
            running.unwanted = !listed.contains_key(key);
            if running.unwanted || is_late(self.margin, running.due_height, height) {
                actions.stop.push(*key);
            }
        }
        self.due = listed
            .values()
            .map(|duty| (duty.key, duty.due_height))
            .collect();
        for duty in listed.into_values() {
            let kept = kept(duty.key);
            if kept != Kept::Nothing {
                // It must be in a block up to the due height, and the next one is above `height`.
                let is_in_time = height < duty.due_height;
                if kept == Kept::Checked && is_in_time && self.may_submit(duty.key, height) {
                    actions.submit.push(duty.key);
                }
                if kept == Kept::Unchecked && is_in_time && self.checking.insert(duty.key) {
                    actions.check.push(duty.key);
                }
            } else if self.running.contains_key(&duty.key) {
                // Stopped above if it is late; what there is will be handed in.
            } else if is_late(self.margin, duty.due_height, height) {
                self.waiting.remove(&(duty.due_height, duty.key));
                if self.given_up.insert(duty.key) {
                    actions.too_late.push(duty.key);
                }
            } else if self.waiting.len() < self.capacity {
                self.waiting.insert((duty.due_height, duty.key), duty);
            }
        }
        actions
    }

    /// The duty to start now: the one due first, if there is room for it.
    pub fn start_next(&mut self) -> Option<Assigned> {
        if self.running.len() >= self.in_hand {
            return None;
        }
        let (_, duty) = self.waiting.pop_first()?;
        let running = Running {
            due_height: duty.due_height,
            unwanted: false,
        };
        self.running.insert(duty.key, running);
        Some(duty)
    }

    /// A generation is over, with an answer or without. Tells whether the chain still asks for
    /// one.
    pub fn finished(&mut self, key: DutyKey) -> bool {
        self.running
            .remove(&key)
            .is_some_and(|running| !running.unwanted)
    }

    /// A journal's entry was compared with what is asked, or could not be.
    pub fn checked(&mut self, key: DutyKey) {
        self.checking.remove(&key);
    }

    /// An answer is on its way to the chain.
    pub fn sending(&mut self, key: DutyKey) {
        self.sending.insert(key);
    }

    /// A block had the answer at `height`, or the chain did not want it.
    pub fn submitted(&mut self, key: DutyKey, height: u64) {
        self.sending.remove(&key);
        self.submitted.insert(key, height);
    }

    /// An answer did not arrive: the next look takes it up again.
    pub fn not_sent(&mut self, key: DutyKey) {
        self.sending.remove(&key);
    }

    /// The chain refused a batch because most of it would fail: its duties are tried again in
    /// batches of half the size.
    pub fn split(&mut self, batch: &[DutyKey]) {
        for key in batch {
            self.sending.remove(key);
            self.most.insert(*key, (batch.len() / 2).max(1));
        }
    }

    /// How many items the next batch with this duty may have, if not as many as any other.
    pub fn most(&self, key: DutyKey) -> Option<usize> {
        self.most.get(&key).copied()
    }

    /// Last block that may include the answer, while the duty is listed.
    pub fn due(&self, key: DutyKey) -> Option<u64> {
        self.due.get(&key).copied()
    }

    /// Duties that wait or run.
    pub fn open(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    fn may_submit(&self, key: DutyKey, height: u64) -> bool {
        let submitted = self.submitted.get(&key);
        !self.sending.contains(&key)
            && submitted.is_none_or(|at| height >= at.saturating_add(RESUBMIT_AFTER))
    }
}

fn is_late(margin: u64, due_height: u64, height: u64) -> bool {
    height.saturating_add(margin) >= due_height
}

fn assigned(duty: &Duty) -> Assigned {
    Assigned {
        key: DutyKey {
            task: duty.task_id,
            attempt: duty.attempt,
        },
        due_height: duty.due_height,
        model: duty.model.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duty(task: u64, due: u64) -> Duty {
        Duty {
            task_id: task,
            phase: TaskStatus::Assigned.into(),
            attempt: 0,
            due_height: due,
            model: "m".into(),
            evaluator_model: String::new(),
        }
    }

    fn key(task: u64) -> DutyKey {
        DutyKey { task, attempt: 0 }
    }

    fn update(duties: &mut Duties, height: u64, listed: &[Duty], answered: &[u64]) -> Actions {
        duties.update(height, listed, |key| match answered.contains(&key.task) {
            true => Kept::Checked,
            false => Kept::Nothing,
        })
    }

    #[test]
    fn earliest_due_goes_first_one_at_a_time() {
        let mut duties = Duties::new(3, 8, 1);
        let listed = [duty(1, 30), duty(2, 20), duty(3, 25)];
        assert_eq!(update(&mut duties, 10, &listed, &[]), Actions::default());
        assert_eq!(duties.start_next().unwrap().key, key(2));
        assert_eq!(duties.start_next(), None);
        // Listed again while it runs, it is not taken a second time.
        update(&mut duties, 11, &listed, &[]);
        assert!(duties.finished(key(2)));
        assert_eq!(duties.start_next().unwrap().key, key(3));
        assert_eq!(duties.open(), 2);
    }

    #[test]
    fn capacity_bounds_what_waits() {
        let mut duties = Duties::new(3, 2, 1);
        let listed: Vec<Duty> = (1..=5).map(|task| duty(task, 100)).collect();
        update(&mut duties, 10, &listed, &[]);
        assert_eq!(duties.open(), 2);
        // The others are taken when there is room.
        assert_eq!(duties.start_next().unwrap().key, key(1));
        update(&mut duties, 11, &listed, &[]);
        assert_eq!(duties.open(), 3);
    }

    #[test]
    fn what_is_too_late_is_skipped_and_told_once() {
        let mut duties = Duties::new(3, 8, 1);
        update(&mut duties, 10, &[duty(1, 14)], &[]);
        assert_eq!(duties.open(), 1);
        let actions = update(&mut duties, 11, &[duty(1, 14)], &[]);
        assert_eq!((actions.too_late, duties.open()), (vec![key(1)], 0));
        assert_eq!(
            update(&mut duties, 12, &[duty(1, 14)], &[]),
            Actions::default()
        );
    }

    #[test]
    fn the_running_one_stops_when_due_or_gone() {
        let mut duties = Duties::new(3, 8, 1);
        update(&mut duties, 10, &[duty(1, 20)], &[]);
        duties.start_next().unwrap();
        assert_eq!(
            update(&mut duties, 16, &[duty(1, 20)], &[]),
            Actions::default()
        );
        let actions = update(&mut duties, 17, &[duty(1, 20)], &[]);
        assert_eq!((actions.stop, actions.too_late), (vec![key(1)], vec![]));
        assert!(duties.finished(key(1)));
    }

    #[test]
    fn several_run_and_each_stops_at_its_own_height() {
        let mut duties = Duties::new(3, 8, 2);
        let listed = [duty(1, 20), duty(2, 24), duty(3, 30)];
        update(&mut duties, 10, &listed, &[]);
        assert_eq!(duties.start_next().unwrap().key, key(1));
        assert_eq!(duties.start_next().unwrap().key, key(2));
        assert_eq!((duties.start_next(), duties.open()), (None, 3));
        assert_eq!(update(&mut duties, 17, &listed, &[]).stop, [key(1)]);
        assert!(duties.finished(key(1)));
        assert_eq!(duties.start_next().unwrap().key, key(3));
        let listed = [duty(2, 24), duty(3, 30)];
        assert_eq!(update(&mut duties, 21, &listed, &[]).stop, [key(2)]);
        // The third is cancelled by its user; the second still is wanted.
        let actions = update(&mut duties, 22, &[duty(2, 24)], &[]);
        assert_eq!(actions.stop, [key(2), key(3)]);
        assert!(duties.finished(key(2)) && !duties.finished(key(3)));
    }

    #[test]
    fn a_cancelled_one_stops_and_its_answer_is_not_wanted() {
        let mut duties = Duties::new(3, 8, 1);
        update(&mut duties, 10, &[duty(1, 20), duty(2, 20)], &[]);
        assert_eq!(duties.start_next().unwrap().key, key(1));
        assert_eq!(update(&mut duties, 11, &[duty(2, 20)], &[]).stop, [key(1)]);
        assert!(!duties.finished(key(1)));
        assert_eq!(duties.start_next().unwrap().key, key(2));
        assert!(duties.finished(key(2)));
        // One that waits is just forgotten.
        update(&mut duties, 12, &[duty(3, 30)], &[]);
        update(&mut duties, 13, &[], &[]);
        assert_eq!((duties.start_next(), duties.open()), (None, 0));
    }

    #[test]
    fn answers_are_handed_in_until_the_chain_has_them() {
        let mut duties = Duties::new(3, 8, 1);
        let listed = [duty(1, 40), duty(2, 40)];
        // After a restart both are in the journal: one batch, nothing is generated again.
        assert_eq!(
            update(&mut duties, 20, &listed, &[1, 2]).submit,
            [key(1), key(2)]
        );
        assert_eq!(duties.open(), 0);
        // The first broadcast failed for the second.
        duties.submitted(key(1), 20);
        assert_eq!(update(&mut duties, 21, &listed, &[1, 2]).submit, [key(2)]);
        duties.submitted(key(2), 21);
        assert!(update(&mut duties, 23, &listed, &[1, 2]).submit.is_empty());
        assert_eq!(update(&mut duties, 24, &listed, &[1, 2]).submit, [key(1)]);
        // Gone from the list: forgotten.
        assert_eq!(update(&mut duties, 25, &[], &[1, 2]), Actions::default());
        assert!(duties.submitted.is_empty());
    }

    #[test]
    fn what_is_on_its_way_is_not_sent_a_second_time_and_what_is_lost_is_sent_at_once() {
        let mut duties = Duties::new(3, 8, 1);
        let listed = [duty(1, 40)];
        assert_eq!(update(&mut duties, 20, &listed, &[1]).submit, [key(1)]);
        duties.sending(key(1));
        assert_eq!(duties.due(key(1)), Some(40));
        for height in [21, 30] {
            let actions = update(&mut duties, height, &listed, &[1]);
            assert_eq!(actions, Actions::default());
        }
        duties.not_sent(key(1));
        assert_eq!(update(&mut duties, 30, &listed, &[1]).submit, [key(1)]);
    }

    #[test]
    fn a_batch_that_mostly_fails_is_halved() {
        let mut duties = Duties::new(3, 8, 1);
        let listed = [duty(1, 40), duty(2, 40), duty(3, 40)];
        let batch = update(&mut duties, 20, &listed, &[1, 2, 3]).submit;
        batch.iter().for_each(|key| duties.sending(*key));
        assert_eq!(duties.most(key(1)), None);
        duties.split(&batch);
        assert_eq!(duties.most(key(1)), Some(1));
        let again = update(&mut duties, 21, &listed[..2], &[1, 2, 3]).submit;
        assert_eq!(again, [key(1), key(2)]);
        assert_eq!(duties.most(key(3)), None, "forgotten with the duty");
    }

    #[test]
    fn an_old_entry_is_compared_once_at_a_time_and_not_generated_anew_meanwhile() {
        let mut duties = Duties::new(3, 8, 1);
        let listed = [duty(1, 22)];
        let look = |duties: &mut Duties, kept| duties.update(20, &listed, |_| kept);
        assert_eq!(look(&mut duties, Kept::Unchecked).check, [key(1)]);
        assert_eq!(look(&mut duties, Kept::Unchecked), Actions::default());
        assert_eq!(duties.open(), 0);
        // The node did not answer.
        duties.checked(key(1));
        assert_eq!(look(&mut duties, Kept::Unchecked).check, [key(1)]);
        duties.checked(key(1));
        assert_eq!(look(&mut duties, Kept::Checked).submit, [key(1)]);
    }

    #[test]
    fn an_answer_is_not_handed_in_after_the_last_block() {
        let mut duties = Duties::new(3, 8, 1);
        assert_eq!(
            update(&mut duties, 39, &[duty(1, 40)], &[1]).submit,
            [key(1)]
        );
        assert!(
            update(&mut duties, 40, &[duty(1, 40)], &[1])
                .submit
                .is_empty()
        );
    }

    #[test]
    fn other_phases_are_not_ours() {
        let mut duties = Duties::new(3, 8, 1);
        let mut seat = duty(1, 40);
        seat.phase = TaskStatus::Committing.into();
        update(&mut duties, 10, &[seat], &[]);
        assert_eq!(duties.open(), 0);
    }
}
