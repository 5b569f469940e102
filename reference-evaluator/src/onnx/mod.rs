//! Reads ONNX files: their messages, and the BERT encoders in them.

mod bert;
mod graph;
pub mod proto;
mod tensor;

pub(crate) use bert::{Encoder, Head, Layer, read};

/// The reason why the reference evaluator cannot compute the model of a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not an ONNX protobuf.
    #[error("it is not an ONNX file: {0}")]
    Decode(#[from] prost::DecodeError),
    /// It does not compute a BERT encoder.
    #[error("`{tensor}` is not {expected}; the reference evaluator supports only BERT encoders")]
    Graph {
        /// Name of the value in the graph.
        tensor: String,
        /// Its meaning in a BERT encoder.
        expected: &'static str,
    },
    /// A constant has other dimensions than the graph needs.
    #[error("the constant `{name}` has the dimensions {actual:?}, expected {expected:?}")]
    Dimensions {
        /// Name of the constant.
        name: String,
        /// Its dimensions in the file.
        actual: Vec<i64>,
        /// The dimensions that the graph needs.
        expected: Vec<usize>,
    },
    /// A constant is damaged or of another type.
    #[error("the constant `{name}` is not {expected}")]
    Tensor {
        /// Name of the constant.
        name: String,
        /// Its required form.
        expected: &'static str,
    },
}
