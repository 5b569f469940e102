//! Shared by the unit tests: the real model from the cache of `make setup`.

use std::path::PathBuf;

use poq_proto::v1::EvaluatorModel;

use crate::config::{self, ModelConfig, ScoringConfig};
use crate::registry;
use crate::scorer::{Engine, Model, ModelFiles, open_all};
use crate::transcode::MODELS;

/// The registry entry of a cross-encoder in the cache.
pub(crate) fn published() -> EvaluatorModel {
    entry(MODELS[0].id)
}

/// The registry entry of a bi-encoder in the cache.
pub(crate) fn bi_encoder() -> EvaluatorModel {
    entry(MODELS[1].id)
}

fn entry(id: &str) -> EvaluatorModel {
    registry::find(id).unwrap().unwrap()
}

/// The files of [`published`].
pub(crate) fn files() -> ModelFiles {
    files_of(MODELS[0].id)
}

fn files_of(id: &str) -> ModelFiles {
    let model = ModelConfig {
        id: id.to_owned(),
        folder: None,
    };
    let files = config::model_files(&model, &ScoringConfig::default());
    for path in [&files.weights, &files.tokenizer, &files.library] {
        assert!(
            path.exists(),
            "{} is missing: run make setup",
            path.display()
        );
    }
    files
}

/// One file of a model's folder in the cache.
pub(crate) fn model_file(id: &str, name: &str) -> PathBuf {
    let path = registry::folder(id).join(name);
    assert!(
        path.exists(),
        "{} is missing: run make setup",
        path.display()
    );
    path
}

/// A second entry for the same files, with short windows.
pub(crate) fn short() -> EvaluatorModel {
    EvaluatorModel {
        id: "short".into(),
        max_tokens: 40,
        max_windows: 3,
        ..published()
    }
}

/// A pair that fills all windows of [`short`].
pub(crate) const LONG: (&str, &str) = (
    "Why is the sky blue?",
    "Air molecules scatter short-wavelength blue light more than red light, which is called Rayleigh scattering, so that blue light reaches the eye from every direction. At sunset the light takes a longer way through the air, most of the blue is lost on it, and the sky is red. On the Moon, which has no air, the sky is black by day, as the astronauts saw.",
);

/// Models of these entries on one thread.
pub(crate) fn open(entries: &[EvaluatorModel]) -> Vec<Model> {
    let engine = Engine {
        sessions: 1,
        threads: 1,
    };
    open_on(entries, engine)
}

fn open_on(entries: &[EvaluatorModel], engine: Engine) -> Vec<Model> {
    let models: Vec<_> = entries
        .iter()
        .map(|entry| match entry.id.as_str() {
            "short" => (entry.clone(), files()),
            id => (entry.clone(), files_of(id)),
        })
        .collect();
    open_all(&models, engine).unwrap()
}

/// The published model on one thread.
pub(crate) fn model() -> Model {
    open(&[published()]).remove(0)
}

/// The published model, the same one with short windows, and a bi-encoder.
pub(crate) fn models() -> Vec<Model> {
    open(&[published(), short(), bi_encoder()])
}

/// [`models`] on the backend `engine`.
pub(crate) fn models_on(engine: Engine) -> Vec<Model> {
    open_on(&[published(), short(), bi_encoder()], engine)
}

/// Realistic pairs of many lengths and relations.
pub(crate) fn pairs() -> Vec<(String, String)> {
    let texts = [
        (
            "How many people live in Berlin?",
            "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
        ),
        (
            "How many people live in Berlin?",
            "New York City is famous for the Metropolitan Museum of Art.",
        ),
        (
            "How many people live in Berlin?",
            "Berlin is well known for its museums.",
        ),
        (
            "What is the capital of France?",
            "The capital of France is Paris.",
        ),
        ("What is the capital of France?", "I like turtles."),
        (
            "Explain why the sky is blue.",
            "Air molecules scatter short-wavelength blue light more than red light, which is called Rayleigh scattering, so that blue light reaches the eye from every direction.",
        ),
        (
            "Write a function that adds two numbers.",
            "fn add(a: i64, b: i64) -> i64 { a + b }",
        ),
        ("Übersetze: Guten Morgen!", "Good morning! ☕"),
        ("", ""),
        ("Hello", ""),
    ];
    let mut pairs: Vec<(String, String)> = texts
        .iter()
        .map(|(prompt, answer)| ((*prompt).to_owned(), (*answer).to_owned()))
        .collect();
    for repeat in [2, 4, 9, 30] {
        for (prompt, answer) in [texts[0], texts[5], (texts[5].0, texts[0].1)] {
            pairs.push((prompt.to_owned(), format!("{answer} ").repeat(repeat)));
        }
    }
    pairs.push((texts[5].1.repeat(20), texts[0].1.repeat(20)));
    pairs
}
