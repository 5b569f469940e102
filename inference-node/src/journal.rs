//! What the node keeps of an answer: see [`poq_client::journal`].

use poq_client::journal;
use poq_proto::v1::AnswerItem;
use serde::{Deserialize, Serialize};

pub use poq_client::journal::{Error, Key as DutyKey};

/// The answers on disk.
pub type Journal = journal::Journal<Answer>;

/// Finished duties that are kept for inspection.
pub const KEPT: usize = 1000;

/// An answer as it was generated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
}

impl Answer {
    /// The item of a message that hands the answer in.
    pub fn item(&self, key: DutyKey) -> AnswerItem {
        AnswerItem {
            task_id: key.task,
            answer: self.text.clone(),
            prompt_tokens: self.prompt_tokens,
            answer_tokens: self.answer_tokens,
        }
    }
}
