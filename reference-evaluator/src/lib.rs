//! The reference evaluator: the raw score of a pair (prompt, answer) as a pure function, whose result
//! has the same bits on every processor, with every compiler setting and on any number of threads.
//!
//! README.md has the rules that ensure this.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::indexing_slicing
    )
)]

mod error;
#[cfg(feature = "text")]
mod evaluator;
mod junk;
mod kernels;
mod kind;
mod math;
mod model;
mod onnx;
mod score;
mod simd;
#[cfg(feature = "text")]
mod tokenize;
#[cfg(feature = "text")]
mod windows;

pub use error::{Error, Result};
#[cfg(feature = "text")]
pub use evaluator::{Evaluator, Source};
pub use junk::{Junk, junk};
pub use kind::Kind;
pub use model::{Model, Scratch, Window, cosine, read};
pub use onnx::{Error as OnnxError, proto as onnx_proto};
pub use score::{LEAST, mean, millionths};
pub use simd::Instructions;
#[cfg(feature = "text")]
pub use tokenize::{PairTokenizer, Windows};
