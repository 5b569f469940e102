//! Models of the unit tests, from the cache of `make setup`.

use poq_evaluator::ModelArgs;
use poq_evaluator::scorer::{Engine, Model, ModelFiles, ScorerBackend, open_all};
use poq_proto::v1::EvaluatorModel;

/// Id of a cross-encoder in the cache.
pub(super) const CROSS_ENCODER: &str = "ms-marco-minilm-l-12-v2";
/// Id of a bi-encoder in the cache.
pub(super) const BI_ENCODER: &str = "bge-small-en-v1.5";

/// The registry entry of a model, and its files.
pub(super) fn find(id: &str) -> (EvaluatorModel, ModelFiles) {
    let args = ModelArgs {
        node: None,
        registry: Vec::new(),
        models: vec![id.to_owned()],
        folders: Vec::new(),
        backend: ScorerBackend::default(),
        library: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(args.find_one()).unwrap()
}

/// Loads a model on one thread.
pub(super) fn open(model: (EvaluatorModel, ModelFiles)) -> Model {
    let engine = Engine {
        sessions: 1,
        threads: 1,
    };
    open_all(&[model], engine).unwrap().remove(0)
}
