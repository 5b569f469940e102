//! Watches a task step by step.

use std::time::{Duration, Instant};

use poq_client::{Client, found};
use poq_proto::v1::{Committee, QueryPayloadResponse, Seat, Task, TaskStatus};
use tokio::time::sleep;

use crate::Result;

/// Pause between two queries; also the error of every measured time.
const PAUSE: Duration = Duration::from_millis(50);

/// A step of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An inference node was drawn.
    Assigned {
        /// Its operator.
        operator: String,
        /// Draws before this one.
        attempt: usize,
    },
    /// An inference node did not answer in time.
    Missed {
        /// Its operator.
        operator: String,
    },
    /// The answer is on chain.
    Answered {
        /// Its text.
        text: String,
    },
    /// A committee was drawn.
    Seated {
        /// Operators in the order of the seats.
        operators: Vec<String>,
        /// Draws before this one.
        attempt: usize,
    },
    /// More commitments are on chain.
    Committed {
        /// Number of commitments.
        count: usize,
        /// Number of seats.
        of: usize,
    },
    /// A score was revealed.
    Revealed {
        /// The evaluator's operator.
        operator: String,
        /// Micro-logits.
        raw_score: i32,
        /// Parts per million.
        quality: u32,
    },
    /// The consensus quality is known.
    Settled {
        /// Parts per million.
        quality: u32,
    },
    /// The money was paid out.
    Final,
    /// The task ended without a quality.
    Refunded {
        /// The chain's reason.
        reason: String,
    },
}

/// A step and the time at which it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The step.
    pub step: Step,
    /// Height of the first state with it.
    pub height: u64,
    /// Time since the user sent the task.
    pub after: Duration,
}

/// Follows one task to its end.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    started: Instant,
    task: Task,
    payload: QueryPayloadResponse,
}

impl Watch {
    /// Watches a task that is in a block; `started` is the time at which its user sent it.
    pub fn new(client: Client, id: u64, started: Instant) -> Self {
        let task = Task {
            id,
            ..Task::default()
        };
        Self {
            client,
            started,
            task,
            payload: QueryPayloadResponse::default(),
        }
    }

    /// The newest state of the task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The prompt, and the answer once there is one.
    pub fn payload(&self) -> &QueryPayloadResponse {
        &self.payload
    }

    /// Waits for the next steps; empty once the task is over. Retries if the node is briefly unreachable.
    pub async fn next(&mut self) -> Result<Vec<Seen>> {
        while !is_over(&self.task) {
            match self.look().await {
                Ok(seen) if !seen.is_empty() => return Ok(seen),
                Ok(_) => {}
                Err(error) if error.is_retryable() => tracing::debug!("{error}"),
                Err(error) => return Err(error.into()),
            }
            sleep(PAUSE).await;
        }
        Ok(Vec::new())
    }

    async fn look(&mut self) -> poq_client::Result<Vec<Seen>> {
        let task = self.client.task(self.task.id).await?;
        if task == self.task {
            return Ok(Vec::new());
        }
        // The chain keeps the payload only until the task is over.
        let is_new = self.payload.prompt.is_empty()
            || (task.answer.is_some() && self.payload.answer.is_none());
        if is_new && !is_over(&task) {
            // The task may end between the two queries.
            self.payload = found(self.client.payload(task.id).await)?.unwrap_or_default();
        }
        let after = self.started.elapsed();
        let answer = self.payload.answer.as_deref().unwrap_or_default();
        let seen = steps(&self.task, &task, answer)
            .into_iter()
            .map(|(step, height)| Seen {
                step,
                height,
                after,
            })
            .collect();
        self.task = task;
        Ok(seen)
    }
}

fn is_over(task: &Task) -> bool {
    matches!(task.status(), TaskStatus::Final | TaskStatus::Refunded)
}

/// The steps between two states of a task, in order, each with its height.
fn steps(old: &Task, new: &Task, answer: &str) -> Vec<(Step, u64)> {
    let mut steps = Vec::new();
    for (attempt, assignment) in new.assignments.iter().enumerate() {
        let operator = || assignment.operator.clone();
        let before = old.assignments.get(attempt);
        if before.is_none() {
            let operator = operator();
            steps.push((Step::Assigned { operator, attempt }, assignment.height));
        }
        if assignment.missed && before.is_none_or(|before| !before.missed) {
            let operator = operator();
            steps.push((Step::Missed { operator }, new.updated_height));
        }
    }
    if let (Some(found), None) = (&new.answer, &old.answer) {
        let text = answer.to_owned();
        steps.push((Step::Answered { text }, found.height));
    }
    for (attempt, committee) in new.committees.iter().enumerate() {
        committee_steps(old, committee, attempt, &mut steps);
    }
    if let (Some(settlement), None) = (&new.settlement, &old.settlement) {
        let quality = settlement.quality;
        steps.push((Step::Settled { quality }, settlement.height));
    }
    if new.status != old.status {
        match new.status() {
            TaskStatus::Final => steps.push((Step::Final, new.updated_height)),
            TaskStatus::Refunded => {
                let reason = refund_reason(new);
                steps.push((Step::Refunded { reason }, new.updated_height));
            }
            _ => {}
        }
    }
    steps
}

fn committee_steps(
    old: &Task,
    committee: &Committee,
    attempt: usize,
    steps: &mut Vec<(Step, u64)>,
) {
    let before = old.committees.get(attempt);
    let seats = &committee.seats;
    if before.is_none() {
        let operators = seats.iter().map(|seat| seat.operator.clone()).collect();
        steps.push((Step::Seated { operators, attempt }, committee.height));
    }
    let commits = |seats: &[Seat]| {
        let heights = seats.iter().filter(|seat| !seat.commitment.is_empty());
        (
            heights.clone().count(),
            heights.map(|seat| seat.commit_height).max(),
        )
    };
    let (count, height) = commits(seats);
    if count > before.map_or(0, |before| commits(&before.seats).0) {
        let of = seats.len();
        steps.push((Step::Committed { count, of }, height.unwrap_or_default()));
    }
    for (index, seat) in seats.iter().enumerate() {
        let was_open = before.is_some_and(|before| before.seats[index].reveal.is_some());
        if let (Some(reveal), false) = (&seat.reveal, was_open) {
            let revealed = Step::Revealed {
                operator: seat.operator.clone(),
                raw_score: reveal.raw_score,
                quality: reveal.quality,
            };
            steps.push((revealed, reveal.height));
        }
    }
}

/// The reason of a refund in words, for example `no answer`.
pub(crate) fn refund_reason(task: &Task) -> String {
    let name = task.refund_reason().as_str_name();
    let name = name.trim_start_matches("REFUND_REASON_");
    name.to_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{Answer, Assignment, RefundReason, Reveal, Settlement};

    use super::*;

    fn assignment(operator: &str, height: u64) -> Assignment {
        Assignment {
            operator: operator.into(),
            height,
            ..Assignment::default()
        }
    }

    fn seat(operator: &str, committed: bool, reveal: Option<i32>) -> Seat {
        Seat {
            operator: operator.into(),
            commitment: if committed { vec![1; 32] } else { Vec::new() },
            commit_height: 8,
            reveal: reveal.map(|raw_score| Reveal {
                raw_score,
                quality: 900_000,
                height: 9,
            }),
            ..Seat::default()
        }
    }

    #[test]
    fn states_in_between_may_be_missed() {
        let old = Task::default();
        let new = Task {
            status: TaskStatus::Settled.into(),
            assignments: vec![
                Assignment {
                    missed: true,
                    ..assignment("a", 3)
                },
                assignment("b", 5),
            ],
            answer: Some(Answer {
                height: 6,
                ..Answer::default()
            }),
            committees: vec![Committee {
                height: 6,
                seats: vec![seat("x", true, Some(7)), seat("y", false, None)],
                ..Committee::default()
            }],
            settlement: Some(Settlement {
                quality: 900_000,
                height: 9,
                ..Settlement::default()
            }),
            ..Task::default()
        };
        let heights: Vec<u64> = steps(&old, &new, "Paris")
            .iter()
            .map(|step| step.1)
            .collect();
        assert_eq!(heights, [3, 0, 5, 6, 6, 8, 9, 9]);
        let paris = Step::Answered {
            text: "Paris".into(),
        };
        assert!(steps(&old, &new, "Paris").contains(&(paris, 6)));
        assert!(steps(&new, &new, "Paris").is_empty());
    }

    #[test]
    fn only_what_is_new_is_told() {
        let with = |seats| Task {
            committees: vec![Committee {
                seats,
                ..Committee::default()
            }],
            ..Task::default()
        };
        let old = with(vec![seat("x", true, None), seat("y", false, None)]);
        let new = with(vec![seat("x", true, None), seat("y", true, None)]);
        let committed = Step::Committed { count: 2, of: 2 };
        assert_eq!(steps(&old, &new, ""), [(committed, 8)]);
    }

    #[test]
    fn a_refund_has_its_reason() {
        let new = Task {
            status: TaskStatus::Refunded.into(),
            refund_reason: RefundReason::NoQuorum.into(),
            updated_height: 4,
            ..Task::default()
        };
        let reason = "no quorum".into();
        assert_eq!(
            steps(&Task::default(), &new, ""),
            [(Step::Refunded { reason }, 4)]
        );
    }
}
