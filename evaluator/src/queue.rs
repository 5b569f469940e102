//! Pairs on their way to the model: what is due first goes first, and what nobody waits for any
//! more does not go at all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use poq_proto::v1::Duty;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::compute::{self, Asker, Job};
use crate::duties::{Key, Step};

/// Pairs that the model has at once: enough for full batches, few enough that a pair which is due
/// earlier soon gets its turn.
const IN_HAND: usize = 32;

/// A duty's pair.
pub struct Pair {
    /// By which model it is scored, see [`Job::model`].
    pub model: usize,
    /// What the score is for.
    pub duty: compute::Duty,
    /// What the user asked.
    pub prompt: String,
    /// What the inference node answered.
    pub answer: String,
}

/// A pair that the model has.
struct Running {
    due_height: u64,
    stop: CancellationToken,
}

/// The queue before the model.
pub struct Queue {
    waiting: BTreeMap<(Step, u64, Key), (Pair, Instant)>,
    running: BTreeMap<Key, Running>,
    jobs: mpsc::Sender<Job>,
    in_hand: usize,
    /// When the model last took or finished a pair.
    progress: Instant,
}

impl Queue {
    /// A queue before the model that takes `jobs`.
    pub fn new(jobs: mpsc::Sender<Job>) -> Self {
        Self {
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            in_hand: jobs.max_capacity().min(IN_HAND),
            jobs,
            progress: Instant::now(),
        }
    }

    /// Pairs in the queue and at the model.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Puts a pair in its place: before others what is to be revealed, then what is due first.
    pub fn push(&mut self, pair: Pair) {
        let key = pair.duty.key();
        let place = (key.step, pair.duty.due_height, key);
        self.waiting.insert(place, (pair, Instant::now()));
    }

    /// Hands pairs to the model while it has room.
    pub fn feed(&mut self) {
        while self.running.len() < self.in_hand
            && let Ok(permit) = self.jobs.try_reserve()
            && let Some(((_, due_height, key), (pair, queued))) = self.waiting.pop_first()
        {
            if self.running.is_empty() {
                self.progress = Instant::now();
            }
            let stop = pair.duty.stop.clone();
            self.running.insert(key, Running { due_height, stop });
            permit.send(Job {
                model: pair.model,
                asker: Asker::Duty(pair.duty),
                prompt: pair.prompt,
                answer: pair.answer,
                queued,
            });
        }
    }

    /// The model is done with a pair. Tells whether anybody waits for its score.
    pub fn finished(&mut self, key: Key) -> bool {
        self.progress = Instant::now();
        self.running.remove(&key).is_some()
    }

    /// Drops the pairs of duties that are listed no more, or that no block above `height` can have
    /// any more, and returns their keys.
    pub fn retain(&mut self, listed: &[Duty], height: u64) -> Vec<Key> {
        let listed: Vec<Key> = listed.iter().filter_map(Key::of).collect();
        let is_wanted = |key: &Key, due: u64| due > height && listed.contains(key);
        let mut dropped = Vec::new();
        self.waiting.retain(|(_, due, key), _| {
            let keep = is_wanted(key, *due);
            dropped.extend((!keep).then_some(*key));
            keep
        });
        self.running.retain(|key, running| {
            let keep = is_wanted(key, running.due_height);
            if !keep {
                running.stop.cancel();
                dropped.push(*key);
            }
            keep
        });
        dropped
    }

    /// How long the model has had pairs and finished none.
    pub fn silence(&self) -> Duration {
        match self.running.is_empty() {
            true => Duration::ZERO,
            false => self.progress.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::TaskStatus;

    use super::*;
    use crate::journal::Seat;

    fn pair(task: u64, due_height: u64, committed: Option<[u8; 32]>) -> Pair {
        Pair {
            model: 0,
            duty: compute::Duty {
                seat: Seat { task, attempt: 0 },
                due_height,
                pair_sha256: String::new(),
                committed,
                stop: CancellationToken::new(),
            },
            prompt: String::new(),
            answer: String::new(),
        }
    }

    fn listed(task_id: u64, due_height: u64) -> Duty {
        Duty {
            task_id,
            phase: TaskStatus::Committing.into(),
            due_height,
            ..Duty::default()
        }
    }

    fn next(jobs: &mut mpsc::Receiver<Job>) -> Option<(u64, CancellationToken)> {
        match jobs.try_recv().ok()?.asker {
            Asker::Duty(duty) => Some((duty.seat.task, duty.stop)),
            Asker::Request { .. } => None,
        }
    }

    #[test]
    fn reveals_go_first_then_what_is_due_first() {
        let (sender, mut jobs) = mpsc::channel(9);
        let mut queue = Queue::new(sender);
        queue.push(pair(1, 30, None));
        queue.push(pair(2, 20, None));
        queue.push(pair(3, 40, Some([0; 32])));
        queue.feed();
        let order: Vec<u64> = std::iter::from_fn(|| next(&mut jobs))
            .map(|(task, _)| task)
            .collect();
        assert_eq!(order, [3, 2, 1]);
    }

    #[test]
    fn the_model_has_a_few_at_once_and_a_late_comer_overtakes_the_rest() {
        let (sender, mut jobs) = mpsc::channel(2);
        let mut queue = Queue::new(sender);
        for task in 1..=4 {
            queue.push(pair(task, 50 + task, None));
        }
        queue.feed();
        queue.push(pair(9, 10, None));
        queue.feed();
        assert_eq!(next(&mut jobs).unwrap().0, 1);
        assert_eq!(queue.len(), 5);
        let key = pair(1, 0, None).duty.key();
        assert!(queue.finished(key) && !queue.finished(key));
        queue.feed();
        assert_eq!(next(&mut jobs).unwrap().0, 2);
        assert_eq!(next(&mut jobs).unwrap().0, 9);
    }

    #[test]
    fn what_is_late_or_listed_no_more_is_not_scored() {
        let (sender, mut jobs) = mpsc::channel(2);
        let mut queue = Queue::new(sender);
        for task in 1..=4 {
            queue.push(pair(task, 20 + task, None));
        }
        queue.feed();
        // 1 and 2 are at the model, 3 and 4 wait; 1 is late, 3 is gone.
        let dropped = queue.retain(&[listed(1, 21), listed(2, 22), listed(4, 24)], 21);
        let mut tasks: Vec<u64> = dropped.iter().map(|key| key.seat.task).collect();
        tasks.sort_unstable();
        assert_eq!((tasks, queue.len()), (vec![1, 3], 2));
        let (first, second) = (next(&mut jobs).unwrap(), next(&mut jobs).unwrap());
        assert!(first.1.is_cancelled() && !second.1.is_cancelled());
        assert!(!queue.finished(pair(1, 0, None).duty.key()));
    }

    #[test]
    fn only_a_model_that_has_pairs_can_be_silent() {
        let (sender, _jobs) = mpsc::channel(2);
        let mut queue = Queue::new(sender);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(queue.silence(), Duration::ZERO);
        queue.push(pair(1, 9, None));
        queue.feed();
        assert!(queue.silence() < Duration::from_millis(20));
        std::thread::sleep(Duration::from_millis(20));
        assert!(queue.silence() >= Duration::from_millis(20));
        queue.finished(pair(1, 0, None).duty.key());
        assert_eq!(queue.silence(), Duration::ZERO);
    }
}
