//! The complete function from texts to a raw score.

use std::path::Path;

use crate::error::{Error, Result};
use crate::junk::junk;
use crate::kind::Kind;
use crate::model::{Model, Scratch, Window, cosine};
use crate::score::{LEAST, mean, millionths};
use crate::simd::Instructions;
use crate::tokenize::PairTokenizer;

/// An evaluator model's registry entry and the paths of its files.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Whether it is a cross-encoder or a bi-encoder.
    pub kind: Kind,
    /// The canonical ONNX file.
    pub weights: &'a Path,
    /// Its SHA-256 in hexadecimal digits.
    pub weights_sha256: &'a str,
    /// `tokenizer.json`.
    pub tokenizer: &'a Path,
    /// Its SHA-256 in hexadecimal digits.
    pub tokenizer_sha256: &'a str,
    /// Tokens of a window, special tokens included.
    pub max_tokens: usize,
    /// Largest number of windows of a pair; 0 means 1.
    pub max_windows: usize,
    /// Whether plain junk gets the least raw score.
    pub caps_junk: bool,
}

/// Computes raw scores of pairs, with the same bits on every machine.
pub struct Evaluator {
    model: Model,
    tokenizer: PairTokenizer,
    caps_junk: bool,
    threads: usize,
}

impl Evaluator {
    /// Reads and checks the files. The evaluator computes on one thread with the fastest instructions.
    pub fn open(source: &Source<'_>) -> Result<Self> {
        let model = Model::open(source.kind, source.weights, source.weights_sha256)?;
        if source.max_tokens > model.most_tokens() {
            return Err(Error::Window {
                tokens: source.max_tokens,
                most: model.most_tokens(),
            });
        }
        let tokenizer = PairTokenizer::open(
            source.kind,
            source.tokenizer,
            source.tokenizer_sha256,
            source.max_tokens,
            source.max_windows,
        )?;
        Ok(Self {
            model,
            tokenizer,
            caps_junk: source.caps_junk,
            threads: 1,
        })
    }

    /// Computes the windows of a pair on up to `threads` threads. This does not change scores.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Computes with these instructions. This does not change scores.
    #[must_use]
    pub fn with_instructions(mut self, instructions: Instructions) -> Self {
        self.model = self.model.with_instructions(instructions);
        self
    }

    /// The raw score of a pair: micro-logits for a cross-encoder, millionths of a cosine for a
    /// bi-encoder, and [`LEAST`] for plain junk if the model caps it.
    pub fn score(&self, prompt: &str, answer: &str) -> Result<i32> {
        if self.caps_junk && junk(prompt, answer).is_some() {
            return Ok(LEAST);
        }
        let scores: Vec<i32> = self
            .values(prompt, answer)?
            .into_iter()
            .map(millionths)
            .collect();
        Ok(mean(&scores))
    }

    /// The model's logit or cosine for each window, also for plain junk.
    pub fn values(&self, prompt: &str, answer: &str) -> Result<Vec<f32>> {
        let windows = self.tokenizer.windows(prompt, answer)?;
        let prompt = match &windows.prompt {
            Some(prompt) => self.model.row(prompt, &mut Scratch::default())?,
            None => Vec::new(),
        };
        let value = |window: &Window, scratch: &mut Scratch| match self.model.kind() {
            Kind::CrossEncoder => self.model.logit(window, scratch),
            Kind::BiEncoder => {
                let answer = self.model.row(window, scratch)?;
                cosine(&prompt, &answer)
            }
        };
        in_threads(&windows.answer, self.threads, value)
    }

    /// Its model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &PairTokenizer {
        &self.tokenizer
    }
}

/// The values of all windows in order; each thread computes consecutive ones.
fn in_threads(
    windows: &[Window],
    threads: usize,
    value: impl Fn(&Window, &mut Scratch) -> Result<f32> + Sync,
) -> Result<Vec<f32>> {
    let compute = |part: &[Window]| -> Result<Vec<f32>> {
        let mut scratch = Scratch::default();
        part.iter()
            .map(|window| value(window, &mut scratch))
            .collect()
    };
    if threads == 1 || windows.len() < 2 {
        return compute(windows);
    }
    let parts = windows.chunks(windows.len().div_ceil(threads));
    let results: Vec<Result<Vec<f32>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = parts.map(|part| scope.spawn(|| compute(part))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let values: Result<Vec<Vec<f32>>> = results.into_iter().collect();
    Ok(values?.concat())
}
