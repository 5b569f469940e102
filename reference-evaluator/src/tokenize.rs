//! From texts to the windows that the model reads.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "counts of the tokens of two texts in memory; a cut is within both, and max_tokens is above the special tokens"
)]

use std::path::Path;

use tokenizers::Tokenizer;

use crate::error::{Error, Result};
use crate::kind::Kind;
use crate::model::{Window, read};
use crate::windows;

/// Makes windows of pairs, by the rule in `evaluator/README.md`.
pub struct PairTokenizer {
    kind: Kind,
    tokenizer: Tokenizer,
    cls: u32,
    sep: u32,
    max_tokens: usize,
    max_windows: usize,
}

/// The windows of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Of the prompt alone, for a bi-encoder.
    pub prompt: Option<Window>,
    /// Of the answer, behind the prompt for a cross-encoder; at least one.
    pub answer: Vec<Window>,
    /// Tokens of both texts that are read, and the special ones of a pair with one window.
    pub read: usize,
    /// Tokens of both texts that are not read.
    pub truncated: usize,
}

impl PairTokenizer {
    /// Reads a `tokenizer.json` whose SHA-256 is `sha256` (hexadecimal). Windows have at most
    /// `max_tokens`; a pair has at most `max_windows`, where 0 is 1.
    pub fn open(
        kind: Kind,
        path: &Path,
        sha256: &str,
        max_tokens: usize,
        max_windows: usize,
    ) -> Result<Self> {
        let content = read(path, sha256)?;
        let unusable = |reason: String| Error::Tokenizer {
            path: path.to_owned(),
            reason,
        };
        if max_tokens <= special_tokens(kind) + 1 {
            let reason = format!("{max_tokens} tokens leave no room for two texts");
            return Err(unusable(reason));
        }
        let mut tokenizer =
            Tokenizer::from_bytes(&content).map_err(|error| unusable(error.to_string()))?;
        tokenizer
            .with_truncation(None)
            .map_err(|error| unusable(error.to_string()))?;
        tokenizer.with_padding(None);
        // A text cannot end itself with "[SEP]" and begin another one.
        tokenizer.set_encode_special_tokens(true);
        let special = |token: &str| {
            let id = tokenizer.token_to_id(token);
            id.ok_or_else(|| unusable(format!("the vocabulary has no {token}")))
        };
        Ok(Self {
            kind,
            cls: special("[CLS]")?,
            sep: special("[SEP]")?,
            tokenizer,
            max_tokens,
            max_windows,
        })
    }

    /// The windows of a pair.
    pub fn windows(&self, prompt: &str, answer: &str) -> Result<Windows> {
        let prompt = self.ids(prompt)?;
        let answer = self.ids(answer)?;
        let special = special_tokens(self.kind);
        let cut = match self.kind {
            Kind::CrossEncoder => windows::together,
            Kind::BiEncoder => windows::apart,
        };
        let room = self.max_tokens - special;
        let cut = cut(room, self.max_windows, prompt.len(), answer.len());
        let kept = &prompt[..cut.prompt];
        let texts = cut.prompt + cut.answer();
        let parts = cut.windows.into_iter().map(|range| &answer[range]);
        let (alone, windows, special) = match self.kind {
            Kind::CrossEncoder => (
                None,
                parts.map(|part| self.pair(kept, part)).collect(),
                special,
            ),
            Kind::BiEncoder => (
                Some(self.single(kept)),
                parts.map(|part| self.single(part)).collect(),
                2 * special,
            ),
        };
        Ok(Windows {
            prompt: alone,
            answer: windows,
            read: texts + special,
            truncated: prompt.len() + answer.len() - texts,
        })
    }

    /// `[CLS]` text `[SEP]`.
    fn single(&self, text: &[u32]) -> Window {
        let mut ids = vec![self.cls];
        ids.extend(text);
        ids.push(self.sep);
        Window {
            first_segment: ids.len(),
            ids,
        }
    }

    /// `[CLS]` prompt `[SEP]` answer `[SEP]`.
    fn pair(&self, prompt: &[u32], answer: &[u32]) -> Window {
        let mut window = self.single(prompt);
        window.ids.extend(answer);
        window.ids.push(self.sep);
        window
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| Error::Text {
                bytes: text.len(),
                reason: error.to_string(),
            })
    }
}

fn special_tokens(kind: Kind) -> usize {
    match kind {
        Kind::CrossEncoder => 3,
        Kind::BiEncoder => 2,
    }
}
