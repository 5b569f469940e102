//! Transcodes the published int8 cross-encoder to its canonical f32 form.
//!
//! The int8 graph quantises its activations while it runs, and that amplifies rounding: its
//! scores differ by up to two logits between settings of one engine. With the same weights in
//! f32 they agree to about 1e-5 logit, so the f32 file is the evaluator model of the registry.

mod graph;
mod onnx;
mod tensor;

use std::path::{Path, PathBuf};

use prost::Message;

use crate::digest;
use onnx::ModelProto;

/// SHA-256 of the published file: cross-encoder/ms-marco-MiniLM-L-12-v2, int8 ONNX.
pub const PUBLISHED_SHA256: &str =
    "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1";
/// SHA-256 of its f32 transcoding, which is the registry's `weights_sha256`.
pub const CANONICAL_SHA256: &str =
    "e1d085f4a02bfd0b2d3968c29336c8512dc9a899b29f546432c5f9981ae9f382";

/// Why a model was not transcoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or is not the expected one.
    #[error(transparent)]
    Digest(#[from] digest::Error),
    /// The result cannot be stored.
    #[error(transparent)]
    Write(#[from] poq_client::Error),
    /// The input is not ONNX.
    #[error("{path} is not an ONNX model: {source}", path = path.display())]
    Decode {
        /// The input.
        path: PathBuf,
        /// From the decoder.
        source: prost::DecodeError,
    },
    /// The model has no graph.
    #[error("the model has no graph")]
    NoGraph,
    /// A matrix product has not the form that dynamic quantisation writes.
    #[error("the product `{node}` has not the form of ONNX Runtime's dynamic quantisation")]
    Product {
        /// Name of the `MatMulInteger` node.
        node: String,
    },
    /// A product's weight is not a constant of the graph.
    #[error("the constant `{name}` is missing")]
    Initializer {
        /// Name of the tensor.
        name: String,
    },
    /// A constant has another form.
    #[error("the constant `{name}` is not {expected}")]
    Tensor {
        /// Name of the tensor.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The result differs from the pinned one; a bug.
    #[error(
        "the transcoded model has SHA-256 {actual}, expected {CANONICAL_SHA256}; this is a bug"
    )]
    Output {
        /// Of the result.
        actual: String,
    },
}

type Result<T> = std::result::Result<T, Error>;

/// What [`transcode`] did.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The output had the right content already.
    Present,
    /// The output is new.
    Written {
        /// Matrix products that are f32 now.
        products: usize,
        /// Size of the output.
        bytes: usize,
    },
}

/// Writes the canonical f32 form of the published model at `input` to `output`, at once or not
/// at all. Calls `progress` with the number of matrix products done and of all.
pub fn transcode(
    input: &Path,
    output: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<Outcome> {
    if output.exists() && digest::of_file(output)? == CANONICAL_SHA256 {
        return Ok(Outcome::Present);
    }
    let published = std::fs::read(input).map_err(|source| digest::Error::Read {
        path: input.to_owned(),
        source,
    })?;
    digest::check(
        input,
        &digest::of_bytes(&published),
        PUBLISHED_SHA256,
        "the published int8 model",
    )?;
    let model = ModelProto::decode(published.as_slice()).map_err(|source| Error::Decode {
        path: input.to_owned(),
        source,
    })?;
    let (canonical, products) = canonical(model, progress)?;
    let actual = digest::of_bytes(&canonical);
    if actual != CANONICAL_SHA256 {
        return Err(Error::Output { actual });
    }
    poq_client::durable::replace(output, &canonical)?;
    Ok(Outcome::Written {
        products,
        bytes: canonical.len(),
    })
}

/// The bytes of the model in f32, and the number of products that changed.
fn canonical(
    mut model: ModelProto,
    progress: impl FnMut(usize, usize),
) -> Result<(Vec<u8>, usize)> {
    let graph = model.graph.as_mut().ok_or(Error::NoGraph)?;
    graph
        .initializer
        .iter_mut()
        .try_for_each(tensor::require_embedded)?;
    let products = graph::dequantize_products(graph, progress)?;
    Ok((model.encode_to_vec(), products))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::WEIGHTS;
    use crate::testing::model_file;

    const PUBLISHED: &str = "model.int8.onnx";

    #[test]
    fn the_published_model_becomes_the_canonical_one() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join(WEIGHTS);
        let input = model_file(PUBLISHED);
        let mut last = (0, 0);
        let outcome = transcode(&input, &output, |done, all| last = (done, all)).unwrap();
        assert_eq!(
            outcome,
            Outcome::Written {
                products: 74,
                bytes: 98_052_079
            }
        );
        assert_eq!(last, (74, 74));
        assert_eq!(digest::of_file(&output).unwrap(), CANONICAL_SHA256);
        let again = transcode(&input, &output, |_, _| ()).unwrap();
        assert_eq!(again, Outcome::Present);
    }

    #[test]
    fn another_input_is_refused_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        std::fs::write(&input, "not a model").unwrap();
        let error = transcode(&input, &output, |_, _| ()).unwrap_err();
        assert!(matches!(error, Error::Digest(_)), "{error}");
        assert!(!output.exists());
    }

    #[test]
    fn the_messages_lose_nothing_of_the_published_model() {
        let published = std::fs::read(model_file(PUBLISHED)).unwrap();
        let model = ModelProto::decode(published.as_slice()).unwrap();
        assert!(model.encode_to_vec() == published, "decoding drops fields");
    }

    #[test]
    fn nothing_quantised_is_left_but_the_embeddings() {
        let content = std::fs::read(model_file(WEIGHTS)).unwrap();
        let graph = ModelProto::decode(content.as_slice())
            .unwrap()
            .graph
            .unwrap();
        let count = |op: &str| {
            graph
                .node
                .iter()
                .filter(|node| node.op_type() == op)
                .count()
        };
        assert_eq!(count("MatMulInteger") + count("DynamicQuantizeLinear"), 0);
        assert_eq!((count("DequantizeLinear"), count("MatMul")), (3, 74 + 24));
        let read: std::collections::BTreeSet<&str> = graph
            .node
            .iter()
            .flat_map(|node| node.input.iter().map(String::as_str))
            .collect();
        let unread = graph
            .initializer
            .iter()
            .filter(|tensor| !read.contains(tensor.name()));
        assert_eq!(unread.count(), 0);
    }
}
