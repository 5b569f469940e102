//! The encoder on token ids.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "widths of the model, which the reader of its file has checked, times at most max_tokens"
)]

use std::path::{Path, PathBuf};

use prost::bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::kernels::{Attention, Dense, Kernels, Output, View, Workspace};
use crate::kind::Kind;
use crate::math;
use crate::onnx::{self, Encoder, Head, Layer};
use crate::simd::Instructions;
use crate::simd::portable::Portable;

/// What the model reads at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Token ids with the special ones.
    pub ids: Vec<u32>,
    /// How many of them, from the first on, have token type 0.
    pub first_segment: usize,
}

/// An encoder in memory. Its results have the same bits on every machine.
pub struct Model {
    kind: Kind,
    encoder: Encoder,
    kernels: Kernels,
    path: PathBuf,
}

/// Memory for one window, kept between windows.
#[derive(Default)]
pub struct Scratch {
    packed: Vec<f32>,
    rows: Vec<f32>,
    attention: Vec<f32>,
    mixed: Vec<f32>,
    wide: Vec<f32>,
    sum: Vec<f32>,
    workspace: Workspace,
}

impl Model {
    /// Reads an ONNX file whose SHA-256 is `sha256` (hexadecimal).
    pub fn open(kind: Kind, path: &Path, sha256: &str) -> Result<Self> {
        let content = read(path, sha256)?;
        Self::from_bytes(kind, path, content.into())
    }

    fn from_bytes(kind: Kind, path: &Path, content: Bytes) -> Result<Self> {
        let unusable = |source| Error::Model {
            path: path.to_owned(),
            source,
        };
        let encoder = onnx::read(content).map_err(unusable)?;
        let fits = match kind {
            Kind::CrossEncoder => matches!(encoder.head, Head::Logit { .. }),
            Kind::BiEncoder => matches!(encoder.head, Head::Row),
        };
        if !fits {
            return Err(Error::Kind {
                path: path.to_owned(),
                kind,
            });
        }
        Ok(Self {
            kind,
            encoder,
            kernels: Kernels::new(Instructions::best()),
            path: path.to_owned(),
        })
    }

    /// Computes with other instructions than the fastest; those that the processor lacks are
    /// replaced by the portable ones. The results are the same.
    #[must_use]
    pub fn with_instructions(mut self, instructions: Instructions) -> Self {
        self.kernels = Kernels::new(instructions);
        self
    }

    /// What it computes.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The longest window that it has positions for.
    pub fn most_tokens(&self) -> usize {
        self.encoder.tables[2].rows()
    }

    /// The logit of a window of a cross-encoder.
    pub fn logit(&self, window: &Window, scratch: &mut Scratch) -> Result<f32> {
        let Head::Logit {
            pooler,
            weights,
            bias,
        } = &self.encoder.head
        else {
            return Err(Error::Kind {
                path: self.path.clone(),
                kind: Kind::CrossEncoder,
            });
        };
        self.encode(window, scratch)?;
        let hidden = self.hidden();
        let mut pooled = vec![0.0; hidden];
        let Scratch { rows, packed, .. } = scratch;
        self.dense(pooler, &rows[..hidden], packed, &mut pooled);
        self.kernels.tanh(&mut pooled);
        let logit = self.kernels.dot(&pooled, weights) + bias;
        finite(logit)
    }

    /// The first token's row of a window's last layer, which is the embedding of a bi-encoder.
    pub fn row(&self, window: &Window, scratch: &mut Scratch) -> Result<Vec<f32>> {
        self.encode(window, scratch)?;
        Ok(scratch.rows[..self.hidden()].to_vec())
    }

    fn hidden(&self) -> usize {
        self.encoder.norm.gain.len()
    }

    /// Leaves the first token's row of the last layer in `scratch.rows`.
    fn encode(&self, window: &Window, scratch: &mut Scratch) -> Result<()> {
        let tokens = window.ids.len();
        if tokens == 0 || tokens > self.most_tokens() {
            return Err(Error::Window {
                tokens,
                most: self.most_tokens(),
            });
        }
        self.embed(window, &mut scratch.rows)?;
        self.kernels
            .normalize(&self.encoder.norm, &mut scratch.rows);
        let last = self.encoder.layers.len() - 1;
        for (index, layer) in self.encoder.layers.iter().enumerate() {
            // Nothing is read of the last layer but its first row.
            let wanted = if index == last { 1 } else { tokens };
            self.layer(layer, tokens, wanted, scratch);
        }
        Ok(())
    }

    fn embed(&self, window: &Window, rows: &mut Vec<f32>) -> Result<()> {
        let [words, segments, positions] = &self.encoder.tables;
        rows.clear();
        for (position, id) in window.ids.iter().enumerate() {
            let segment = usize::from(position >= window.first_segment);
            let word = words.row(*id as usize).ok_or(Error::Token { id: *id })?;
            let parts = segments.row(segment).zip(positions.row(position));
            let (segment, position) = parts.ok_or(Error::Token { id: *id })?;
            let sums = word.zip(segment).zip(position);
            rows.extend(sums.map(|((word, segment), position)| word + segment + position));
        }
        Ok(())
    }

    /// One layer: `rows` of all tokens become those of the first `wanted`.
    fn layer(&self, layer: &Layer, tokens: usize, wanted: usize, scratch: &mut Scratch) {
        let hidden = self.hidden();
        let wide = layer.widen.bias.len();
        let Scratch {
            packed,
            rows,
            attention,
            mixed,
            wide: widened,
            sum,
            workspace,
        } = scratch;
        attention.resize(tokens * 3 * hidden, 0.0);
        mixed.resize(wanted * hidden, 0.0);
        widened.resize(wanted * wide, 0.0);
        sum.resize(wanted * hidden, 0.0);

        self.kernels.pack(View::whole(rows, hidden), tokens, packed);
        let all = 0..3 * hidden;
        if wanted == tokens {
            let output = Output::new(attention, 3 * hidden, all);
            self.kernels.dense(&layer.attention, packed, output);
        } else {
            let output = Output::new(attention, 3 * hidden, hidden..3 * hidden);
            self.kernels.dense(&layer.attention, packed, output);
            self.kernels.pack(View::whole(rows, hidden), wanted, packed);
            let output = Output::new(attention, 3 * hidden, 0..hidden);
            self.kernels.dense(&layer.attention, packed, output);
            rows.truncate(wanted * hidden);
        }
        let task = Attention {
            rows: attention,
            hidden,
            tokens,
            queries: wanted,
            heads: self.encoder.heads,
            output: mixed,
        };
        self.kernels.attention(task, workspace);
        self.dense(&layer.mix, mixed, packed, sum);
        self.kernels.add_and_normalize(&layer.mix_norm, rows, sum);
        self.dense(&layer.widen, rows, packed, widened);
        self.kernels.gelu(widened);
        self.dense(&layer.narrow, widened, packed, sum);
        self.kernels
            .add_and_normalize(&layer.narrow_norm, rows, sum);
    }

    /// A whole dense layer of all rows of `input`.
    fn dense(&self, layer: &Dense, input: &[f32], packed: &mut Vec<f32>, output: &mut [f32]) {
        let depth = layer.weights.depth();
        let columns = layer.bias.len();
        self.kernels
            .pack(View::whole(input, depth), input.len() / depth, packed);
        let output = Output::new(output, columns, 0..columns);
        self.kernels.dense(layer, packed, output);
    }
}

/// The content of a file, if its SHA-256 is `sha256`.
pub fn read(path: &Path, sha256: &str) -> Result<Vec<u8>> {
    let content = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let actual = hex::encode(Sha256::digest(&content));
    if actual.eq_ignore_ascii_case(sha256) {
        Ok(content)
    } else {
        Err(Error::Sha256 {
            path: path.to_owned(),
            actual,
            expected: sha256.to_owned(),
        })
    }
}

/// The cosine of two embeddings of the same length: each is divided by its length first.
pub fn cosine(a: &[f32], b: &[f32]) -> Result<f32> {
    let unit = |row: &[f32]| -> Vec<f32> {
        let length = math::dot::<Portable>(row, row).sqrt();
        row.iter().map(|value| value / length).collect()
    };
    finite(math::dot::<Portable>(&unit(a), &unit(b)))
}

fn finite(value: f32) -> Result<f32> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Error::NotANumber)
    }
}
