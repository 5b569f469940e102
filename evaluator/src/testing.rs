//! What the unit tests share: the real model, where `make setup` puts it.

use std::path::PathBuf;

use poq_proto::v1::EvaluatorModel;

use crate::config::{self, ModelConfig, ScoringConfig};
use crate::registry;
use crate::scorer::{Model, ModelFiles};

/// The registry entry of the model in the cache.
pub fn published() -> EvaluatorModel {
    registry::default_entry().unwrap()
}

/// The files of the model in the cache.
pub fn files() -> ModelFiles {
    let files = config::model_files(&ModelConfig::default(), &ScoringConfig::default()).unwrap();
    for path in [&files.weights, &files.tokenizer, &files.library] {
        assert!(
            path.exists(),
            "{} is missing: run make setup",
            path.display()
        );
    }
    files
}

/// One file of the model's folder in the cache.
pub fn model_file(name: &str) -> PathBuf {
    let path = files().tokenizer.with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing: run make setup",
        path.display()
    );
    path
}

/// The model on one thread.
pub fn model() -> Model {
    Model::open(&published(), &files(), 1).unwrap()
}

/// Real-looking pairs of many lengths and relations.
pub fn pairs() -> Vec<(String, String)> {
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
