//! One task of the chain, as its only operator sees it.

use poq_client::TxHash;
use poq_proto::code;
use poq_proto::v1::{Committee, Reveal, Seat, Task, TaskStatus};

use super::state::MODEL;

/// A task and its texts.
#[derive(Clone)]
pub(crate) struct Record {
    pub(super) task: Task,
    pub(super) prompt: String,
    /// Empty until there is one.
    pub answer: Option<String>,
}

impl Record {
    /// A task in `phase`, with the operator in its committee.
    pub(super) fn new(
        operator: &str,
        id: u64,
        phase: TaskStatus,
        due_height: u64,
        prompt: &str,
        answer: Option<&str>,
    ) -> Self {
        let mut task = Task {
            id,
            model: MODEL.into(),
            prompt_sha256: sha256(prompt),
            max_answer_bytes: 64,
            due_height,
            committees: vec![Committee {
                seats: vec![Seat {
                    operator: operator.into(),
                    evaluator_model: MODEL.into(),
                    ..Seat::default()
                }],
                ..Committee::default()
            }],
            ..Task::default()
        };
        task.set_status(phase);
        Self {
            task,
            prompt: prompt.into(),
            answer: answer.map(Into::into),
        }
    }

    /// Whether the answer belongs to this prompt: answers of the tests' workers end as the prompt
    /// does.
    pub(crate) fn has_its_answer(&self) -> bool {
        let number = self.prompt.rsplit(' ').next();
        let answer = self.answer.as_deref().unwrap_or_default();
        number.is_some_and(|number| answer.ends_with(number))
    }

    pub(super) fn is_open(&self) -> bool {
        let open = [
            TaskStatus::Assigned,
            TaskStatus::Committing,
            TaskStatus::Revealing,
        ];
        open.contains(&self.task.status())
    }

    pub(super) fn submit(&mut self, answer: &str) -> u32 {
        if self.answer.is_some() {
            return code::DUPLICATE.number;
        }
        if answer.len() > self.task.max_answer_bytes as usize {
            return code::ANSWER_TOO_LONG.number;
        }
        if self.task.status() != TaskStatus::Assigned {
            return code::WRONG_PHASE.number;
        }
        self.answer = Some(answer.to_owned());
        self.task.set_status(TaskStatus::Final);
        0
    }

    fn seat(&mut self) -> &mut Seat {
        &mut self.task.committees[0].seats[0]
    }

    pub(super) fn waits_for(&self, phase: TaskStatus) -> bool {
        self.task.status() == phase && !self.is_committed()
    }

    /// Whether it waits only for the others' commitments.
    pub(super) fn is_committed(&self) -> bool {
        let seat = &self.task.committees[0].seats[0];
        self.task.status() == TaskStatus::Committing && !seat.commitment.is_empty()
    }

    pub(super) fn commit(&mut self, commitment: &[u8]) -> u32 {
        if !self.seat().commitment.is_empty() {
            return code::DUPLICATE.number;
        }
        if self.task.status() != TaskStatus::Committing {
            return code::WRONG_PHASE.number;
        }
        self.seat().commitment = commitment.to_vec();
        0
    }

    pub(super) fn reveal(&mut self, opened: [u8; 32], raw_score: i32) -> u32 {
        if self.seat().reveal.is_some() {
            return code::DUPLICATE.number;
        }
        if self.task.status() != TaskStatus::Revealing {
            return code::WRONG_PHASE.number;
        }
        if self.seat().commitment != opened {
            return code::REVEAL_MISMATCH.number;
        }
        self.seat().reveal = Some(Reveal {
            raw_score,
            ..Reveal::default()
        });
        self.task.set_status(TaskStatus::Final);
        0
    }
}

fn sha256(text: &str) -> Vec<u8> {
    TxHash::of(text.as_bytes()).0.to_vec()
}
