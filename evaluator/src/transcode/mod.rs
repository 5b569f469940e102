//! Creates canonical f32 models from published int8 ones, with a trained judge's adapter if given.
//! This is production code: judges are shipped as adapters, and every operator merges them into
//! their base models, which `make setup` fetches.
//!
//! The int8 graph quantises its activations while it runs, which amplifies rounding: its scores
//! differ by up to two logits between settings of one engine. With the same weights in f32 they
//! agree to about 1e-5 logit, so the f32 file is the evaluator model of the registry. A published
//! file is identified by its SHA-256, so its form is not checked, and the result has the SHA-256 of
//! the registry entry.

mod adapter;
mod head;
mod products;
mod tensor;

use std::path::{Path, PathBuf};

use poq_client::digest;
use poq_reference_evaluator::onnx_proto::ModelProto;
use prost::Message;

use crate::registry;

/// A model that is published in int8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Id in the registry.
    pub id: &'static str,
    /// SHA-256 of the published ONNX file.
    pub int8_sha256: &'static str,
}

/// The models that `make setup` fetches.
pub(crate) const MODELS: [Published; 2] = [
    // cross-encoder/ms-marco-MiniLM-L-12-v2
    Published {
        id: "ms-marco-minilm-l-12-v2",
        int8_sha256: "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
    },
    // BAAI/bge-small-en-v1.5
    Published {
        id: "bge-small-en-v1.5",
        int8_sha256: "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
    },
];

/// The judges trained by `lab/judge`, with the published models that they adapt. An id names the
/// licence of the adapter: `nc` is CC BY-NC 4.0, `open` Apache-2.0.
pub(crate) const JUDGES: [(&str, &str); 3] = [
    ("judge-minilm-nc-2", "ms-marco-minilm-l-12-v2"),
    ("judge-bge-nc-2", "bge-small-en-v1.5"),
    ("judge-minilm-open-1", "ms-marco-minilm-l-12-v2"),
];

/// Why a model was not transcoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; run `make setup` to fetch the model files", path = path.display())]
    Read {
        /// The file's path.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The result cannot be stored.
    #[error(transparent)]
    Write(#[from] poq_client::Error),
    /// There is no registry entry.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The input is not one of [`MODELS`].
    #[error(
        "{path} has SHA-256 {actual}, which is not that of a known published model; run `make setup` to fetch them",
        path = path.display()
    )]
    Unknown {
        /// The input's path.
        path: PathBuf,
        /// The input's digest.
        actual: String,
    },
    /// A published model has an unexpected form; a bug.
    #[error("{0} is not an ONNX model with dynamically quantised products; this is a bug")]
    Form(&'static str),
    /// The adapter does not belong to this model.
    #[error(
        "the adapter cannot be merged: {reason}; export it again with `lab/judge/judge.sh export`"
    )]
    Adapter {
        /// The reason.
        reason: String,
    },
    /// The result does not match the registry entry.
    #[error(
        "{path} would have SHA-256 {actual}, but its registry entry has {expected}: the adapter is not that of the release, or this is a bug",
        path = path.display()
    )]
    Output {
        /// The output's path.
        path: PathBuf,
        /// The expected SHA-256.
        expected: String,
        /// The result's SHA-256.
        actual: String,
    },
}

type Result<T> = std::result::Result<T, Error>;

/// A canonical file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Canonical {
    /// SHA-256 of the file.
    pub sha256: String,
    /// Its size if it is new; `None` if it already existed.
    pub written: Option<usize>,
}

/// Writes the canonical form of the published model at `input`, with the adapter merged in if one
/// is given, to `output`, atomically. `id` is that of the registry entry that the result must
/// match; without an adapter it is known.
pub(crate) fn transcode(
    input: &Path,
    adapter: Option<&Path>,
    output: &Path,
    id: Option<&str>,
) -> Result<Canonical> {
    let int8 = read(input)?;
    let published = published(input, &int8)?;
    let id = id.or(adapter.is_none().then_some(published.id));
    let expected = match id {
        Some(id) => registry::find(id)?.map(|entry| entry.weights_sha256),
        None => None,
    };
    if let Some(expected) = &expected
        && output.exists()
        && digest::of_file(output).map_err(unread(output))? == *expected
    {
        return Ok(Canonical {
            sha256: expected.clone(),
            written: None,
        });
    }
    let mut model = dequantized(int8).ok_or(Error::Form(published.id))?;
    if let (Some(graph), Some(adapter)) = (&mut model.graph, adapter) {
        adapter::merge(graph, &read(adapter)?)?;
    }
    let canonical = model.encode_to_vec();
    let sha256 = digest::of_bytes(&canonical);
    if let Some(expected) = expected.filter(|expected| *expected != sha256) {
        return Err(Error::Output {
            path: output.to_owned(),
            expected,
            actual: sha256,
        });
    }
    poq_client::durable::replace(output, &canonical)?;
    let written = Some(canonical.len());
    Ok(Canonical { sha256, written })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(unread(path))
}

fn unread(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    |source| Error::Read {
        path: path.to_owned(),
        source,
    }
}

/// Identifies the model by the content of the file at `path`.
fn published(path: &Path, content: &[u8]) -> Result<&'static Published> {
    let actual = digest::of_bytes(content);
    let known = MODELS.iter().find(|model| model.int8_sha256 == actual);
    known.ok_or_else(|| Error::Unknown {
        path: path.to_owned(),
        actual,
    })
}

/// The model in f32.
fn dequantized(int8: Vec<u8>) -> Option<ModelProto> {
    let mut model = ModelProto::decode(prost::bytes::Bytes::from(int8)).ok()?;
    let graph = model.graph.as_mut()?;
    // Drops the redundant mark that the data is in the file, which new constants do not have
    // either.
    for tensor in &mut graph.initializer {
        tensor.data_location = None;
    }
    products::dequantize(graph)?;
    Some(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{ADAPTER, INT8, WEIGHTS};
    use crate::testing::model_file;

    #[test]
    fn the_published_models_become_the_canonical_ones() {
        for (model, size) in [(&MODELS[0], 98_052_079), (&MODELS[1], 97_421_489)] {
            let folder = tempfile::tempdir().unwrap();
            let output = folder.path().join(WEIGHTS);
            let input = model_file(model.id, INT8);
            let made = transcode(&input, None, &output, None).unwrap();
            assert_eq!(made.written, Some(size));
            assert_eq!(digest::of_file(&output).unwrap(), made.sha256);
            let entry = registry::find(model.id).unwrap().unwrap();
            assert_eq!(made.sha256, entry.weights_sha256);
            let again = transcode(&input, None, &output, None).unwrap();
            assert_eq!((again.sha256, again.written), (made.sha256, None));
        }
    }

    #[test]
    fn the_released_adapters_become_the_registered_judges() {
        for (id, base) in JUDGES {
            let folder = tempfile::tempdir().unwrap();
            let output = folder.path().join(WEIGHTS);
            let (input, adapter) = (model_file(base, INT8), model_file(id, ADAPTER));
            let made = transcode(&input, Some(&adapter), &output, Some(id)).unwrap();
            let entry = registry::find(id).unwrap().unwrap();
            assert_eq!(made.sha256, entry.weights_sha256);
            let other = JUDGES.iter().find(|(other, _)| *other != id).unwrap().0;
            let output = folder.path().join("other");
            let wrong = transcode(&input, Some(&adapter), &output, Some(other)).unwrap_err();
            assert!(matches!(wrong, Error::Output { .. }), "{wrong}");
            assert!(!output.exists());
        }
    }

    #[test]
    fn another_input_is_refused_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        std::fs::write(&input, "not a model").unwrap();
        let error = transcode(&input, None, &output, None).unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{error}");
        let missing = folder.path().join("missing");
        let error = transcode(&missing, None, &output, None).unwrap_err();
        assert!(matches!(error, Error::Read { .. }), "{error}");
        assert!(!output.exists());
    }

    #[test]
    fn a_damaged_model_is_refused() {
        let mut content = std::fs::read(model_file(MODELS[1].id, INT8)).unwrap();
        content[1000] ^= 1;
        assert!(published(Path::new("model.int8.onnx"), &content).is_err());
        // As if this were the published file.
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
