//! ONNX messages, and typed access to the tensors that quantisation leaves in a graph.

#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
