//! Converts a pair of texts to the token ids that the model reads.

use std::path::Path;

use poq_proto::v1::EvaluatorModel;
use poq_reference_evaluator as reference;
use poq_reference_evaluator::{Junk, Window, junk};

use super::{Error, kind};

/// A pair of texts as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The reason if the pair is capped: it has the least score, and nothing of it is read.
    pub junk: Option<Junk>,
    /// In the order of the answer, at least one unless the pair is capped; for a bi-encoder, the
    /// prompt's window comes first.
    pub windows: Vec<Window>,
    /// Number of windows of the answer.
    pub answer_windows: usize,
    /// Tokens of the two texts that are read, and the special ones of a pair with one window.
    pub read: usize,
    /// Tokens of the two texts that were cut off.
    pub truncated: usize,
}

impl Encoded {
    fn capped(junk: Junk) -> Self {
        Self {
            junk: Some(junk),
            windows: Vec::new(),
            answer_windows: 0,
            read: 0,
            truncated: 0,
        }
    }

    /// Tokens of all windows with the special ones; a cross-encoder's windows each contain the
    /// prompt.
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(|window| window.ids.len()).sum()
    }
}

/// Encodes pairs as audits do, with the reference evaluator.
pub struct PairTokenizer {
    tokenizer: reference::PairTokenizer,
    caps_junk: bool,
}

impl PairTokenizer {
    /// Reads the `tokenizer.json` of a registry entry. The entry determines the encoding.
    pub fn open(path: &Path, registered: &EvaluatorModel) -> Result<Self, Error> {
        let tokenizer = reference::PairTokenizer::open(
            kind(registered)?,
            path,
            &registered.tokenizer_sha256,
            registered.max_tokens as usize,
            registered.max_windows as usize,
        )?;
        Ok(Self {
            tokenizer,
            caps_junk: registered.caps_junk,
        })
    }

    /// The ids of a pair; none if the model caps it.
    pub fn encode(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        if self.caps_junk
            && let Some(junk) = junk(prompt, answer)
        {
            return Ok(Encoded::capped(junk));
        }
        self.encode_uncapped(prompt, answer)
    }

    /// The ids of any pair, even junk.
    pub fn encode_uncapped(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        let reference::Windows {
            prompt,
            answer,
            read,
            truncated,
        } = self.tokenizer.windows(prompt, answer)?;
        Ok(Encoded {
            junk: None,
            answer_windows: answer.len(),
            windows: prompt.into_iter().chain(answer).collect(),
            read,
            truncated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{files, published};

    const PROMPT: &str = "one two three four five six seven eight nine";

    #[test]
    fn junk_is_not_read_where_the_registry_says_so() {
        let mut tokenizer = PairTokenizer::open(&files().tokenizer, &published()).unwrap();
        tokenizer.caps_junk = false;
        let read = tokenizer.encode(PROMPT, PROMPT).unwrap();
        assert_eq!((read.junk, read.windows.len()), (None, 1));
        tokenizer.caps_junk = true;
        let capped = tokenizer.encode(PROMPT, PROMPT).unwrap();
        assert_eq!(capped, Encoded::capped(Junk::Copy));
        assert_eq!((capped.tokens(), capped.truncated), (0, 0));
        assert_eq!(tokenizer.encode_uncapped(PROMPT, PROMPT).unwrap(), read);
        assert_eq!(tokenizer.encode(PROMPT, "ten").unwrap().junk, None);
    }
}
