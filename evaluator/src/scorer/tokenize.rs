//! From a pair of texts to the token ids that the cross-encoder reads.

use std::path::Path;

use tokenizers::Tokenizer;

use super::Error;
use crate::digest;

/// `[CLS]` prompt `[SEP]` answer `[SEP]`.
const SPECIAL_TOKENS: usize = 3;

/// A pair of texts as token ids, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// With the special tokens; at most the tokenizer's `max_tokens`.
    pub ids: Vec<u32>,
    /// How many of them are of the first segment, `[CLS]` prompt `[SEP]`.
    pub first_segment: usize,
    /// Tokens of the two texts that were cut off.
    pub truncated: usize,
}

/// Encodes pairs by the rule that every implementation of an evaluator model must follow:
///
/// 1. Each text is tokenized by itself, by `tokenizer.json` without its truncation and padding.
///    Text that looks like a special token (`[SEP]`) is ordinary text, so that an answer cannot
///    end itself and begin a second one.
/// 2. `L = max_tokens − 3`. The answer keeps its first `min(|answer|, max(L − |prompt|, ⌈L/2⌉))`
///    tokens, then the prompt keeps its first `min(|prompt|, L − kept answer)` tokens: each text
///    has half of the room, and what one of them does not need goes to the other.
/// 3. The ids are `[CLS]` prompt `[SEP]` answer `[SEP]`; token type 0 up to the first `[SEP]`,
///    1 after it.
pub struct PairTokenizer {
    tokenizer: Tokenizer,
    cls: u32,
    sep: u32,
    max_tokens: usize,
}

impl PairTokenizer {
    /// Reads `tokenizer.json`, whose SHA-256 must be `sha256`. Pairs get at most `max_tokens`.
    pub fn open(path: &Path, sha256: &str, max_tokens: usize) -> Result<Self, Error> {
        let content = std::fs::read(path).map_err(|source| digest::Error::Read {
            path: path.to_owned(),
            source,
        })?;
        digest::check(path, &digest::of_bytes(&content), sha256, "the registry")?;
        let unusable = |reason: String| Error::Tokenizer {
            path: path.to_owned(),
            reason,
        };
        if max_tokens <= SPECIAL_TOKENS + 1 {
            return Err(unusable(format!(
                "{max_tokens} tokens leave no room for two texts"
            )));
        }
        let mut tokenizer =
            Tokenizer::from_bytes(&content).map_err(|error| unusable(error.to_string()))?;
        tokenizer
            .with_truncation(None)
            .map_err(|error| unusable(error.to_string()))?;
        tokenizer.with_padding(None);
        tokenizer.set_encode_special_tokens(true);
        let special = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| unusable(format!("the vocabulary has no {token}")))
        };
        Ok(Self {
            cls: special("[CLS]")?,
            sep: special("[SEP]")?,
            tokenizer,
            max_tokens,
        })
    }

    /// The ids of a pair.
    pub fn encode(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        let prompt = self.ids(prompt)?;
        let answer = self.ids(answer)?;
        let room = self.max_tokens - SPECIAL_TOKENS;
        let (kept_prompt, kept_answer) = split(room, prompt.len(), answer.len());
        let mut ids = Vec::with_capacity(kept_prompt + kept_answer + SPECIAL_TOKENS);
        ids.push(self.cls);
        ids.extend(&prompt[..kept_prompt]);
        ids.push(self.sep);
        let first_segment = ids.len();
        ids.extend(&answer[..kept_answer]);
        ids.push(self.sep);
        Ok(Encoded {
            ids,
            first_segment,
            truncated: prompt.len() - kept_prompt + answer.len() - kept_answer,
        })
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.tokenizer
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| Error::Text {
                bytes: text.len(),
                reason: error.to_string(),
            })
    }
}

/// How many tokens of prompt and answer fit into `room`: rule 2 of [`PairTokenizer`].
fn split(room: usize, prompt: usize, answer: usize) -> (usize, usize) {
    let answer = answer.min(room.saturating_sub(prompt).max(room.div_ceil(2)));
    (prompt.min(room - answer), answer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry;
    use crate::testing::{model_file, published};

    fn tokenizer(max_tokens: usize) -> PairTokenizer {
        let path = model_file(registry::TOKENIZER);
        PairTokenizer::open(&path, &published().tokenizer_sha256, max_tokens).unwrap()
    }

    #[test]
    fn a_pair_has_the_form_of_bert() {
        let pair = tokenizer(512)
            .encode("How many people?", "Three million.")
            .unwrap();
        assert_eq!(
            pair.ids,
            [101, 2129, 2116, 2111, 1029, 102, 2093, 2454, 1012, 102]
        );
        assert_eq!((pair.first_segment, pair.truncated), (6, 0));
    }

    #[test]
    fn special_tokens_in_a_text_are_text() {
        let pair = tokenizer(512).encode("a [SEP]", "[CLS] b [PAD]").unwrap();
        let special = pair.ids.iter().filter(|id| [0, 101, 102].contains(*id));
        assert_eq!(special.count(), 3);
    }

    #[test]
    fn empty_texts_are_pairs_too() {
        let pair = tokenizer(512).encode("", "").unwrap();
        assert_eq!((pair.ids, pair.first_segment), (vec![101, 102, 102], 2));
    }

    #[test]
    fn long_texts_keep_the_beginning_of_both() {
        let tokenizer = tokenizer(13);
        let prompt = "one two three four five six seven eight nine";
        let answer = "ten eleven twelve thirteen fourteen fifteen";
        let pair = tokenizer.encode(prompt, answer).unwrap();
        let text = tokenizer.tokenizer.decode(&pair.ids, true).unwrap();
        assert_eq!(
            text,
            "one two three four five ten eleven twelve thirteen fourteen"
        );
        assert_eq!((pair.ids.len(), pair.truncated), (13, 5));
    }

    #[test]
    fn another_tokenizer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, "{}").unwrap();
        let error = PairTokenizer::open(&path, &published().tokenizer_sha256, 512);
        assert!(matches!(error, Err(Error::Digest(_))));
    }

    #[test]
    fn the_room_is_shared() {
        assert_eq!(split(509, 100, 100), (100, 100));
        assert_eq!(split(509, 100, 5000), (100, 409));
        assert_eq!(split(509, 5000, 100), (409, 100));
        assert_eq!(split(509, 5000, 5000), (254, 255));
        assert_eq!(split(509, 254, 5000), (254, 255));
        assert_eq!(split(2, 9, 9), (1, 1));
    }

    proptest! {
        #[test]
        fn both_texts_keep_a_part_and_the_room_is_used(
            room in 2_usize..600, prompt in 0_usize..2000, answer in 0_usize..2000,
        ) {
            let (kept_prompt, kept_answer) = split(room, prompt, answer);
            prop_assert!(kept_prompt <= prompt && kept_answer <= answer);
            prop_assert_eq!(kept_prompt + kept_answer, room.min(prompt + answer));
            prop_assert!(kept_prompt >= prompt.min(room / 2));
            prop_assert!(kept_answer >= answer.min(room / 2));
        }
    }
}
