//! What is being done about each duty, so that nothing is done twice at once.

use std::collections::BTreeMap;

use poq_proto::v1::{Duty, TaskStatus};

use crate::journal::Seat;

/// What a duty asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Score the answer and commit to the score.
    Commit,
    /// Open the commitment.
    Reveal,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for its score or for the block with its transaction.
    Working,
    /// Done, or never to be tried again.
    Over,
}

/// The duties that were taken up. A duty stays listed by the chain until the chain has it done.
#[derive(Default)]
pub struct Duties {
    states: BTreeMap<Key, State>,
}

impl Duties {
    /// The listed duties that nothing is being done about, those that end first at the front.
    /// Forgets what is over and listed no more.
    pub fn untouched(&mut self, listed: &[Duty]) -> Vec<(Key, Duty)> {
        let listed: BTreeMap<Key, &Duty> = listed
            .iter()
            .filter_map(|duty| Some((Key::of(duty)?, duty)))
            .collect();
        self.states
            .retain(|key, state| *state == State::Working || listed.contains_key(key));
        let mut untouched: Vec<(Key, Duty)> = listed
            .into_iter()
            .filter(|(key, _)| !self.states.contains_key(key))
            .map(|(key, duty)| (key, duty.clone()))
            .collect();
        untouched.sort_by_key(|(key, duty)| (duty.due_height, *key));
        untouched
    }

    /// Work on a duty has begun.
    pub fn begin(&mut self, key: Key) {
        self.states.insert(key, State::Working);
    }

    /// A duty is done, or can never be.
    pub fn finish(&mut self, key: Key) {
        self.states.insert(key, State::Over);
    }

    /// Work on a duty has failed in a way that can pass: the next look takes it up again, as long
    /// as the chain lists it.
    pub fn release(&mut self, key: Key) {
        self.states.remove(&key);
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
        assert_eq!(tasks(&Duties::default().untouched(&listed)), [2, 1]);
    }

    #[test]
    fn a_duty_is_taken_up_once_until_it_is_released() {
        let listed = [duty(1, TaskStatus::Committing, 9)];
        let mut duties = Duties::default();
        let key = duties.untouched(&listed)[0].0;
        duties.begin(key);
        assert!(duties.untouched(&listed).is_empty());
        duties.release(key);
        assert_eq!(tasks(&duties.untouched(&listed)), [1]);
        duties.finish(key);
        assert!(duties.untouched(&listed).is_empty());
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
        assert_eq!(duties.untouched(&[commit, reveal, redrawn]).len(), 2);
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
        duties.untouched(&[]);
        assert_eq!(tasks(&duties.untouched(&[a, b])), [2]);
    }
}
