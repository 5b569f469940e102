//! The journal's record of an answer.

use poq_proto::v1::Task;
use serde::{Deserialize, Serialize};

/// A generated answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The chain of the task; empty in entries of versions that did not write it.
    #[serde(default)]
    pub chain_id: String,
    /// SHA-256 of the prompt in hex, because a chain that was restarted from genesis reuses task
    /// numbers.
    #[serde(default)]
    pub prompt_sha256: String,
    /// The text.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
}

impl Answer {
    /// Whether it answers this task of this chain.
    pub(crate) fn is_for(&self, chain_id: &str, task: &Task) -> bool {
        self.chain_id == chain_id && self.prompt_sha256 == hex::encode(&task.prompt_sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_knows_its_chain_and_its_question() {
        let task = Task {
            prompt_sha256: vec![7; 32],
            ..Task::default()
        };
        let json = format!(
            r#"{{"chain_id":"poq-1","prompt_sha256":"{}","text":"a","prompt_tokens":1,"answer_tokens":2}}"#,
            "07".repeat(32)
        );
        let answer: Answer = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&answer).unwrap(), json);
        assert!(answer.is_for("poq-1", &task));
        assert!(!answer.is_for("poq-2", &task));
        assert!(!answer.is_for("poq-1", &Task::default()));
        // As written by a version without it.
        let old = r#"{"text":"a","prompt_tokens":1,"answer_tokens":2}"#;
        let old: Answer = serde_json::from_str(old).unwrap();
        assert!(!old.is_for("poq-1", &task));
    }
}
