//! The queue of duties for the compute thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use poq_worker::{Job as Duty, Queue, Slots, Undone};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Job;
use crate::entry::Entry;

/// Most pairs of duties that the model has at once: enough for full batches, but few enough that a
/// pair with an earlier due height is soon scored.
const IN_HAND: usize = 32;
/// Time without any score after which a model that has pairs counts as stuck.
const STUCK: Duration = Duration::from_secs(600);

/// Passes pairs to the model, reveals first, then by due height.
pub(crate) struct Line {
    slots: Arc<Slots>,
    jobs: mpsc::Sender<Job>,
    patience: Duration,
    /// When the model last took its only pair, or finished one.
    progress: Mutex<Instant>,
    stuck: CancellationToken,
}

impl Line {
    /// A queue for the model that receives `jobs`.
    pub(crate) fn new(jobs: mpsc::Sender<Job>) -> Self {
        Self {
            slots: Slots::new(jobs.max_capacity().min(IN_HAND), Queue::default()),
            jobs,
            patience: STUCK,
            progress: Mutex::new(Instant::now()),
            stuck: CancellationToken::new(),
        }
    }

    /// The raw score of a duty's pair; dropping the future cancels it.
    pub(crate) async fn score(
        &self,
        duty: &Duty<Entry>,
        model: usize,
        prompt: String,
        answer: String,
    ) -> Result<i32, Undone> {
        let ended = || Undone::Later("the compute thread has ended".into());
        let waiting = self.slots.join(duty.asker()).map_err(|_| ended())?;
        let _slot = waiting.slot().await.ok_or_else(ended)?;
        let (reply, mut score) = oneshot::channel();
        let job = Job {
            model,
            seat: Some(duty.key.seat),
            truncate: true,
            reply,
            prompt,
            answer,
            queued: std::time::Instant::now(),
        };
        self.jobs.send(job).await.map_err(|_| ended())?;
        if self.slots.running() == 1 {
            self.set_progress();
        }
        loop {
            let since = self.progress();
            match timeout_at(since + self.patience, &mut score).await {
                Ok(outcome) => {
                    self.set_progress();
                    let score = outcome.map_err(|_| ended())?;
                    let score = score.map_err(|error| Undone::Failed(error.to_string()))?;
                    return Ok(score.raw_score);
                }
                // Other pairs get their scores meanwhile.
                Err(_) if self.progress() > since => {}
                Err(_) => {
                    self.stuck.cancel();
                    return Err(Undone::Later("the model is stuck".into()));
                }
            }
        }
    }

    /// Waits until the model is stuck or gone, and returns the reason.
    pub(crate) async fn lost(&self) -> String {
        tokio::select! {
            () = self.stuck.cancelled() => {
                let seconds = self.patience.as_secs();
                format!("the model has had pairs for {seconds} s and scored none")
            }
            () = self.jobs.closed() => {
                "the compute thread has ended; see its last log lines for the reason".into()
            }
        }
    }

    fn progress(&self) -> Instant {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_progress(&self) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::Duty as Listed;
    use poq_worker::{Key, Seat, Step};

    use super::*;
    use crate::compute::Outcome;
    use crate::scorer::{Error, Score};

    /// Short enough to wait for.
    const SOON: Duration = Duration::from_millis(100);

    fn duty(task: u64, step: Step, due_height: u64) -> Duty<Entry> {
        let seat = Seat { task, attempt: 0 };
        Duty {
            key: Key { step, seat },
            duty: Listed {
                due_height,
                ..Listed::default()
            },
            kept: None,
            is_doubted: false,
            stop: CancellationToken::new(),
        }
    }

    /// Scores these duties, all of which are queued before the model takes the first.
    async fn score(line: &Line, duties: &[Duty<Entry>]) -> Vec<Result<i32, Undone>> {
        let score = |duty| line.score(duty, 0, String::new(), String::new());
        futures::future::join_all(duties.iter().map(score)).await
    }

    fn scored(raw_score: i32) -> Outcome {
        Ok(Score {
            raw_score,
            value: 0.0,
        })
    }

    #[tokio::test]
    async fn reveals_go_first_then_what_is_due_first() {
        let (sender, mut jobs) = mpsc::channel(1);
        let line = Line::new(sender);
        let order = async {
            let mut order = Vec::new();
            for _ in 0..4 {
                let job: Job = jobs.recv().await.unwrap();
                order.push(job.seat.unwrap().task);
                job.reply.send(scored(7)).unwrap();
            }
            order
        };
        let duties = [
            duty(1, Step::Commit, 10),
            duty(2, Step::Commit, 30),
            duty(3, Step::Commit, 20),
            duty(4, Step::Reveal, 40),
        ];
        let (scores, order) = tokio::join!(score(&line, &duties), order);
        assert_eq!(scores, [Ok(7), Ok(7), Ok(7), Ok(7)]);
        // The first one found the model free.
        assert_eq!(order, [1, 4, 3, 2]);
    }

    #[tokio::test]
    async fn a_pair_without_a_score_says_why() {
        let (sender, mut jobs) = mpsc::channel(1);
        let line = Line::new(sender);
        let answer = async {
            let job: Job = jobs.recv().await.unwrap();
            job.reply.send(Err(Arc::new(Error::NotANumber))).unwrap();
        };
        let duties = [duty(1, Step::Commit, 10)];
        let (scores, ()) = tokio::join!(score(&line, &duties), answer);
        assert!(matches!(&scores[0], Err(Undone::Failed(_))), "{scores:?}");
        drop(jobs);
        let reason = line.lost().await;
        assert!(reason.contains("thread has ended"), "{reason}");
    }

    #[tokio::test]
    async fn only_a_model_that_has_pairs_can_be_stuck() {
        let (sender, mut jobs) = mpsc::channel(2);
        let line = Line {
            patience: SOON,
            ..Line::new(sender)
        };
        tokio::time::sleep(SOON * 2).await;
        let duties = [duty(1, Step::Commit, 10), duty(2, Step::Commit, 10)];
        // One score after the other, the second after more time than it would take alone.
        let answer = async {
            for _ in 0..2 {
                let job: Job = jobs.recv().await.unwrap();
                tokio::time::sleep(SOON * 7 / 10).await;
                job.reply.send(scored(7)).unwrap();
            }
        };
        let (scores, ()) = tokio::join!(score(&line, &duties), answer);
        assert_eq!(scores, [Ok(7), Ok(7)]);
        assert!(!line.stuck.is_cancelled());

        let scores = score(&line, &duties[..1]).await;
        assert!(matches!(&scores[0], Err(Undone::Later(_))), "{scores:?}");
        let reason = line.lost().await;
        assert!(reason.contains("scored none"), "{reason}");
    }
}
