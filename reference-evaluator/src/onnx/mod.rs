//! ONNX files: their messages, and what is read from them.

mod bert;
mod graph;
pub mod proto;
mod tensor;

pub use bert::{Encoder, Head, Layer, read};

/// Why a file is no model that the reference evaluator computes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no protobuf of ONNX.
    #[error("it is no ONNX file: {0}")]
    Decode(#[from] prost::DecodeError),
    /// It computes something else than a BERT encoder.
    #[error("`{tensor}` is not {expected}; the reference evaluator knows BERT encoders only")]
    Graph {
        /// The name of the value in the graph.
        tensor: String,
        /// What it would be in a BERT encoder.
        expected: &'static str,
    },
    /// A constant has other dimensions than the graph needs.
    #[error("the constant `{name}` has the dimensions {actual:?}, expected {expected:?}")]
    Dimensions {
        /// Of the constant.
        name: String,
        /// In the file.
        actual: Vec<i64>,
        /// What fits to the rest.
        expected: Vec<usize>,
    },
    /// A constant is damaged or of another type.
    #[error("the constant `{name}` is not {expected}")]
    Tensor {
        /// Of the constant.
        name: String,
        /// What it would have to be.
        expected: &'static str,
    },
}
