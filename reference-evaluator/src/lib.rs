//! The reference evaluator: the raw score of a pair (prompt, answer) as a pure function, whose result
//! has the same bits on every processor, with every compiler setting and on any number of threads.
//!
//! See README.md for the rules that make it so.

mod error;
#[cfg(feature = "text")]
mod evaluator;
mod kernels;
mod math;
mod model;
mod onnx;
mod simd;
#[cfg(feature = "text")]
mod tokenize;
mod windows;

pub use error::{Error, Result};
#[cfg(feature = "text")]
pub use evaluator::{Evaluator, Source};
pub use model::{Kind, Model, Scratch, Window};
pub use onnx::Error as OnnxError;
pub use simd::Instructions;
#[cfg(feature = "text")]
pub use tokenize::{PairTokenizer, Windows};
pub use windows::{mean, millionths};
