//! What is being done about each duty, so that nothing is done twice at once.

use std::collections::BTreeMap;

use poq_proto::v1::{Duty, TaskStatus};

use crate::journal::Seat;

/// Failures of one scoring after which it is given up.
const SCORINGS: u32 = 3;

/// What a duty asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Open the commitment. Before the other one, because its miss costs most.
    Reveal,
    /// Score the answer and commit to the score.
    Commit,
}

impl Step {
    /// Counts a duty of this kind that is over.
    pub fn count(self, outcome: &'static str) {
        let step = match self {
            Self::Commit => "commit",
            Self::Reveal => "reveal",
        };
        metrics::counter!("poq_evaluator_duties_total", "step" => step, "outcome" => outcome)
            .increment(1);
    }
}

/// One thing to do for one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The seat.
    pub seat: Seat,
    /// What to do.
    pub step: Step,
}

impl Key {
    /// The key of a listed duty; `None` for phases that ask nothing of an evaluator.
    pub fn of(duty: &Duty) -> Option<Self> {
        let step = match duty.phase() {
            TaskStatus::Committing => Step::Commit,
            TaskStatus::Revealing => Step::Reveal,
            _ => return None,
        };
        let seat = Seat {
            task: duty.task_id,
            attempt: duty.attempt,
        };
        Some(Self { seat, step })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// To be taken up by the next look.
    #[default]
    Idle,
    /// Waits for its texts, its score or the block with its transaction.
    Working,
    /// Done, or never to be tried again.
    Over,
}

#[derive(Default)]
struct Record {
    state: State,
    failed_scorings: u32,
    most: Option<usize>,
    is_doubted: bool,
}

/// The duties that were taken up. A duty stays listed by the chain until the chain has it done.
#[derive(Default)]
pub struct Duties {
    records: BTreeMap<Key, Record>,
}

impl Duties {
    /// The listed duties that nothing is being done about and that a block above `height` can
    /// still have, those that end first at the front. Forgets what is listed no more.
    pub fn untouched(&mut self, listed: &[Duty], height: u64) -> Vec<(Key, Duty)> {
        let listed: BTreeMap<Key, &Duty> = listed
            .iter()
            .filter_map(|duty| Some((Key::of(duty)?, duty)))
            .collect();
        self.records
            .retain(|key, record| record.state == State::Working || listed.contains_key(key));
        let is_idle = |key: &Key| {
            let record = self.records.get(key);
            record.is_none_or(|record| record.state == State::Idle)
        };
        let mut untouched: Vec<(Key, Duty)> = listed
            .into_iter()
            .filter(|(key, duty)| duty.due_height > height && is_idle(key))
            .map(|(key, duty)| (key, duty.clone()))
            .collect();
        untouched.sort_by_key(|(key, duty)| (duty.due_height, *key));
        untouched
    }

    /// Work on a duty has begun.
    pub fn begin(&mut self, key: Key) {
        self.record(key).state = State::Working;
    }

    /// A duty is done, or can never be.
    pub fn finish(&mut self, key: Key) {
        self.record(key).state = State::Over;
    }

    /// Work on a duty has ended without success: the next look takes it up again, as long as the
    /// chain lists it.
    pub fn release(&mut self, key: Key) {
        self.record(key).state = State::Idle;
    }

    /// A duty could not be scored. Tells whether it is tried again; if not, it is over.
    pub fn scoring_failed(&mut self, key: Key) -> bool {
        let record = self.record(key);
        record.failed_scorings += 1;
        let again = record.failed_scorings < SCORINGS;
        record.state = if again { State::Idle } else { State::Over };
        again
    }

    /// The chain refused a batch because most of it would fail: its duties are tried again in
    /// batches of half the size.
    pub fn split(&mut self, batch: &[Key]) {
        for key in batch {
            let record = self.record(*key);
            record.state = State::Idle;
            record.most = Some((batch.len() / 2).max(1));
        }
    }

    /// How many items the next batch with this duty may have, if not as many as any other.
    pub fn most(&self, key: Key) -> Option<usize> {
        self.records.get(&key)?.most
    }

    /// The chain did not take what the journal has: the next look asks what the chain has.
    pub fn doubt(&mut self, key: Key) {
        let record = self.record(key);
        record.state = State::Idle;
        record.is_doubted = true;
    }

    /// Whether the journal is not to be believed about this duty.
    pub fn is_doubted(&self, key: Key) -> bool {
        self.records
            .get(&key)
            .is_some_and(|record| record.is_doubted)
    }

    fn record(&mut self, key: Key) -> &mut Record {
        self.records.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duty(task_id: u64, phase: TaskStatus, due_height: u64) -> Duty {
        Duty {
            task_id,
            phase: phase.into(),
            due_height,
            ..Duty::default()
        }
    }

    fn tasks(untouched: &[(Key, Duty)]) -> Vec<u64> {
        untouched.iter().map(|(key, _)| key.seat.task).collect()
    }

    #[test]
    fn what_ends_first_comes_first() {
        let listed = [
            duty(1, TaskStatus::Committing, 30),
            duty(2, TaskStatus::Revealing, 20),
            duty(3, TaskStatus::Assigned, 10),
        ];
        assert_eq!(tasks(&Duties::default().untouched(&listed, 1)), [2, 1]);
    }

    #[test]
    fn what_no_block_can_have_any_more_is_left_alone() {
        let listed = [
            duty(1, TaskStatus::Committing, 30),
            duty(2, TaskStatus::Revealing, 20),
        ];
        let mut duties = Duties::default();
        assert_eq!(tasks(&duties.untouched(&listed, 19)), [2, 1]);
        assert_eq!(tasks(&duties.untouched(&listed, 20)), [1]);
        assert!(duties.untouched(&listed, 30).is_empty());
    }

    #[test]
    fn a_duty_is_taken_up_once_until_it_is_released() {
        let listed = [duty(1, TaskStatus::Committing, 9)];
        let mut duties = Duties::default();
        let key = duties.untouched(&listed, 1)[0].0;
        duties.begin(key);
        assert!(duties.untouched(&listed, 1).is_empty());
        duties.release(key);
        assert_eq!(tasks(&duties.untouched(&listed, 1)), [1]);
        duties.finish(key);
        assert!(duties.untouched(&listed, 1).is_empty());
    }

    #[test]
    fn commit_and_reveal_and_attempts_are_different_duties() {
        let commit = duty(1, TaskStatus::Committing, 9);
        let mut duties = Duties::default();
        duties.finish(Key::of(&commit).unwrap());
        let reveal = duty(1, TaskStatus::Revealing, 9);
        let redrawn = Duty {
            attempt: 1,
            ..commit.clone()
        };
        assert_eq!(duties.untouched(&[commit, reveal, redrawn], 1).len(), 2);
    }

    #[test]
    fn only_unfinished_work_is_kept_when_the_chain_lists_nothing() {
        let (a, b) = (
            duty(1, TaskStatus::Committing, 9),
            duty(2, TaskStatus::Committing, 9),
        );
        let mut duties = Duties::default();
        duties.begin(Key::of(&a).unwrap());
        duties.finish(Key::of(&b).unwrap());
        duties.untouched(&[], 1);
        assert_eq!(tasks(&duties.untouched(&[a, b], 1)), [2]);
    }

    #[test]
    fn a_scoring_is_tried_three_times() {
        let listed = [duty(1, TaskStatus::Committing, 9)];
        let key = Key::of(&listed[0]).unwrap();
        let mut duties = Duties::default();
        for _ in 1..SCORINGS {
            duties.begin(key);
            assert!(duties.scoring_failed(key));
            assert_eq!(tasks(&duties.untouched(&listed, 1)), [1]);
        }
        assert!(!duties.scoring_failed(key));
        assert!(duties.untouched(&listed, 1).is_empty());
    }

    #[test]
    fn a_batch_that_mostly_fails_is_halved_until_it_is_a_single_duty() {
        let listed: Vec<Duty> = (1..=5)
            .map(|task| duty(task, TaskStatus::Committing, 9))
            .collect();
        let mut duties = Duties::default();
        let keys: Vec<Key> = listed.iter().filter_map(Key::of).collect();
        assert_eq!(duties.most(keys[0]), None);
        for (batch, most) in [(&keys[..], 2), (&keys[..2], 1), (&keys[..1], 1)] {
            batch.iter().for_each(|key| duties.begin(*key));
            duties.split(batch);
            assert_eq!(duties.most(keys[0]), Some(most));
        }
        assert_eq!(duties.untouched(&listed, 1).len(), 5);
        // Forgotten with the duty.
        duties.untouched(&[], 1);
        assert_eq!(duties.most(keys[0]), None);
    }

    #[test]
    fn a_doubted_duty_is_taken_up_again() {
        let listed = [duty(1, TaskStatus::Revealing, 9)];
        let key = Key::of(&listed[0]).unwrap();
        let mut duties = Duties::default();
        duties.begin(key);
        assert!(!duties.is_doubted(key));
        duties.doubt(key);
        assert!(duties.is_doubted(key));
        assert_eq!(tasks(&duties.untouched(&listed, 1)), [1]);
    }
}
