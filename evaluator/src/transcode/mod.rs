//! Transcodes published int8 models to their canonical f32 form.
//!
//! The int8 graph quantises its activations while it runs, and that amplifies rounding: its
//! scores differ by up to two logits between settings of one engine. With the same weights in
//! f32 they agree to about 1e-5 logit, so the f32 file is the evaluator model of the registry. A trained judge is such a file
//! with an adapter merged into it.

mod adapter;
mod graph;
mod head;
mod onnx;
mod tensor;

use std::path::{Path, PathBuf};

use prost::Message;

use crate::digest;
use onnx::ModelProto;

/// A model that is published in int8, and its canonical form.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    /// Id in the registry.
    pub id: &'static str,
    /// SHA-256 of the published int8 ONNX file.
    pub int8_sha256: &'static str,
    /// SHA-256 of its f32 transcoding, which is the registry's `weights_sha256`.
    pub canonical_sha256: &'static str,
}

/// The models that the set-up fetches.
pub const MODELS: [Published; 2] = [
    // cross-encoder/ms-marco-MiniLM-L-12-v2
    Published {
        id: "ms-marco-minilm-l-12-v2",
        int8_sha256: "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
        canonical_sha256: "e1d085f4a02bfd0b2d3968c29336c8512dc9a899b29f546432c5f9981ae9f382",
    },
    // BAAI/bge-small-en-v1.5
    Published {
        id: "bge-small-en-v1.5",
        int8_sha256: "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
        canonical_sha256: "568b0b80887e48e88af23cf399e250b6cd3bcebe29c8b3e49d5184a1c50d4fef",
    },
];

/// A judge that was trained by `lab/judge`: an adapter of a published model.
#[derive(Debug, PartialEq, Eq)]
pub struct Judge {
    /// Id in the registry. It names the licence of the adapter: `nc` is CC BY-NC 4.0, `open` Apache-2.0.
    pub id: &'static str,
    /// Id of the published model that it adapts.
    pub base: &'static str,
    /// SHA-256 of `judges/ID/adapter.safetensors`.
    pub adapter_sha256: &'static str,
    /// SHA-256 of the canonical file, which is the registry's `weights_sha256`.
    pub canonical_sha256: &'static str,
}

/// The judges of local networks, and one that every chain may use.
pub const JUDGES: [Judge; 3] = [
    Judge {
        id: "judge-minilm-nc-2",
        base: "ms-marco-minilm-l-12-v2",
        adapter_sha256: "66900539ba0f75fd879d78b3e0fbe7ede5bd74905c65740b255278d77128cc2c",
        canonical_sha256: "c1f94e13d347d3d49ab12a6f158fa2f80a58bb310e51c4ac7e67b0bb18eb3fbb",
    },
    Judge {
        id: "judge-bge-nc-2",
        base: "bge-small-en-v1.5",
        adapter_sha256: "983040f8565c63770d69568b76e89e4cf2e8fe2b4a8b9631ff10d1c29ce3685a",
        canonical_sha256: "e090a362a1263f3f503124dcd73ceb24afbcb30dad4ab51a1201e02e3de0af6b",
    },
    Judge {
        id: "judge-minilm-open-1",
        base: "ms-marco-minilm-l-12-v2",
        adapter_sha256: "04036c6da287fdd709dd0941ae82fd7d679964fecd421ebf603be063271351ee",
        canonical_sha256: "bacf1fc858b3694f3a7c4ccc4b37fe37f4c6a2345dfe1685c15ed0e8fffffa18",
    },
];

/// Why a model was not transcoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or is not the expected one.
    #[error(transparent)]
    Digest(#[from] digest::Error),
    /// The result cannot be stored.
    #[error(transparent)]
    Write(#[from] poq_client::Error),
    /// The input is none of [`MODELS`].
    #[error(
        "{path} has SHA-256 {actual}, which is of no published model that is known; run `make setup` to fetch them",
        path = path.display()
    )]
    Unknown {
        /// The input.
        path: PathBuf,
        /// Of the input.
        actual: String,
    },
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
    /// The adapter is not of this model.
    #[error(
        "the adapter cannot be merged: {reason}; export it again with `lab/judge/judge.sh export`"
    )]
    Adapter {
        /// What is wrong with it.
        reason: String,
    },
    /// The result differs from the pinned one; a bug.
    #[error("{id} has SHA-256 {actual} after transcoding, expected {expected}; this is a bug")]
    Output {
        /// Id of what was transcoded.
        id: &'static str,
        /// SHA-256 that it should have.
        expected: &'static str,
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
/// at all. Calls `progress` with the number of matrix products done and of all. Returns which
/// model it is, too.
pub fn transcode(
    input: &Path,
    output: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<(&'static Published, Outcome)> {
    let int8 = digest::read(input)?;
    let model = published(input, &int8)?;
    if output.exists() && digest::of_file(output)? == model.canonical_sha256 {
        return Ok((model, Outcome::Present));
    }
    let (canonical, products) = dequantized(decoded(input, &int8)?, progress)?;
    let canonical = canonical.encode_to_vec();
    let (id, sha256) = (model.id, model.canonical_sha256);
    Ok((model, store(id, sha256, &canonical, products, output)?))
}

/// Writes the canonical form of a judge to `output`, at once or not at all, from the published form of its base and its
/// adapter. Calls `progress` with the number of adapted layers done and of all.
pub fn transcode_judge(
    judge: &Judge,
    input: &Path,
    adapter: &Path,
    output: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<Outcome> {
    if output.exists() && digest::of_file(output)? == judge.canonical_sha256 {
        return Ok(Outcome::Present);
    }
    digest::check(
        adapter,
        &digest::of_file(adapter)?,
        judge.adapter_sha256,
        "the judge's release",
    )?;
    let (canonical, products) = merged(input, adapter, progress)?;
    store(
        judge.id,
        judge.canonical_sha256,
        &canonical,
        products,
        output,
    )
}

/// Writes a result to `output`, unless it is not the pinned one.
fn store(
    id: &'static str,
    expected: &'static str,
    canonical: &[u8],
    products: usize,
    output: &Path,
) -> Result<Outcome> {
    let actual = digest::of_bytes(canonical);
    if actual != expected {
        return Err(Error::Output {
            id,
            expected,
            actual,
        });
    }
    poq_client::durable::replace(output, canonical)?;
    let bytes = canonical.len();
    Ok(Outcome::Written { products, bytes })
}

/// What [`transcode_adapted`] wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct Adapted {
    /// Linear layers that the adapter changed.
    pub layers: usize,
    /// Size of the output.
    pub bytes: usize,
}

/// Writes the canonical form of the published model at `input`, with the trained adapter at `adapter` merged into it, to
/// `output`, at once or not at all. Calls `progress` with the number of adapted layers done and of all. Returns the result's
/// SHA-256 and what was done.
pub fn transcode_adapted(
    input: &Path,
    adapter: &Path,
    output: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<(String, Adapted)> {
    let (canonical, layers) = merged(input, adapter, progress)?;
    let sha256 = digest::of_bytes(&canonical);
    poq_client::durable::replace(output, &canonical)?;
    let bytes = canonical.len();
    Ok((sha256, Adapted { layers, bytes }))
}

/// The canonical file of the published model at `input` with the adapter, and the number of adapted layers.
fn merged(
    input: &Path,
    adapter: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<(Vec<u8>, usize)> {
    let (int8, adapter) = (digest::read(input)?, digest::read(adapter)?);
    published(input, &int8)?;
    let mut model = dequantized(decoded(input, &int8)?, |_, _| ())?.0;
    let graph = model.graph.as_mut().ok_or(Error::NoGraph)?;
    let layers = adapter::merge(graph, &adapter, progress)?;
    Ok((model.encode_to_vec(), layers))
}

fn decoded(path: &Path, content: &[u8]) -> Result<ModelProto> {
    ModelProto::decode(content).map_err(|source| Error::Decode {
        path: path.to_owned(),
        source,
    })
}

/// Which model the content of the file at `path` is.
fn published(path: &Path, content: &[u8]) -> Result<&'static Published> {
    let actual = digest::of_bytes(content);
    let known = MODELS.iter().find(|model| model.int8_sha256 == actual);
    known.ok_or_else(|| Error::Unknown {
        path: path.to_owned(),
        actual,
    })
}

/// The model in f32, and the number of products that changed.
fn dequantized(
    mut model: ModelProto,
    progress: impl FnMut(usize, usize),
) -> Result<(ModelProto, usize)> {
    let graph = model.graph.as_mut().ok_or(Error::NoGraph)?;
    graph
        .initializer
        .iter_mut()
        .try_for_each(tensor::require_embedded)?;
    let products = graph::dequantize_products(graph, progress)?;
    Ok((model, products))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{INT8, WEIGHTS};
    use crate::testing::model_file;

    #[test]
    fn the_published_models_become_the_canonical_ones() {
        for (model, all, size) in [(&MODELS[0], 74, 98_052_079), (&MODELS[1], 72, 97_421_489)] {
            let folder = tempfile::tempdir().unwrap();
            let output = folder.path().join(WEIGHTS);
            let input = model_file(model.id, INT8);
            let mut last = (0, 0);
            let outcome = transcode(&input, &output, |done, all| last = (done, all)).unwrap();
            let written = Outcome::Written {
                products: all,
                bytes: size,
            };
            assert_eq!(outcome, (model, written));
            assert_eq!(last, (all, all));
            assert_eq!(digest::of_file(&output).unwrap(), model.canonical_sha256);
            let again = transcode(&input, &output, |_, _| ()).unwrap();
            assert_eq!(again, (model, Outcome::Present));
        }
    }

    #[test]
    fn another_input_is_refused_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        std::fs::write(&input, "not a model").unwrap();
        let error = transcode(&input, &output, |_, _| ()).unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{error}");
        let missing = folder.path().join("missing");
        let error = transcode(&missing, &output, |_, _| ()).unwrap_err();
        assert!(matches!(error, Error::Digest(_)), "{error}");
        assert!(!output.exists());
    }

    #[test]
    fn a_damaged_model_is_refused() {
        let mut content = std::fs::read(model_file(MODELS[1].id, INT8)).unwrap();
        content[1000] ^= 1;
        assert!(published(Path::new("model.int8.onnx"), &content).is_err());
        // As if it had been published so.
        content.truncate(content.len() / 2);
        assert!(ModelProto::decode(content.as_slice()).is_err());
    }

    #[test]
    fn the_messages_lose_nothing_of_the_published_models() {
        for model in &MODELS {
            let published = std::fs::read(model_file(model.id, INT8)).unwrap();
            let decoded = ModelProto::decode(published.as_slice()).unwrap();
            assert!(
                decoded.encode_to_vec() == published,
                "decoding drops fields"
            );
        }
    }

    #[test]
    fn nothing_quantised_is_left_but_the_embeddings() {
        let content = std::fs::read(model_file(MODELS[0].id, WEIGHTS)).unwrap();
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
