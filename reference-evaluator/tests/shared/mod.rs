//! Helpers of the tests with real models.
#![allow(dead_code)]

pub(crate) mod pairs;

use std::path::PathBuf;

use poq_reference_evaluator::{Evaluator, Kind, Source, mean, millionths};
use sha2::{Digest, Sha256};

use pairs::Pair;

/// The files of a model in the cache, with their SHA-256.
pub(crate) struct Files {
    pub kind: Kind,
    pub weights: PathBuf,
    pub weights_sha256: &'static str,
    pub tokenizer: PathBuf,
    pub tokenizer_sha256: &'static str,
}

impl Files {
    fn new(kind: Kind, name: &str, digests: [&'static str; 2]) -> Self {
        let file = |file: &str| {
            let path = cache().join("models").join(name).join(file);
            assert!(
                path.exists(),
                "{} is missing: run `make setup`",
                path.display()
            );
            path
        };
        Self {
            kind,
            weights: file("model.onnx"),
            weights_sha256: digests[0],
            tokenizer: file("tokenizer.json"),
            tokenizer_sha256: digests[1],
        }
    }

    pub(crate) fn cross_encoder() -> Self {
        let digests = [
            "e1d085f4a02bfd0b2d3968c29336c8512dc9a899b29f546432c5f9981ae9f382",
            "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
        ];
        Self::new(Kind::CrossEncoder, "ms-marco-minilm-l-12-v2", digests)
    }

    pub(crate) fn bi_encoder() -> Self {
        let digests = [
            "568b0b80887e48e88af23cf399e250b6cd3bcebe29c8b3e49d5184a1c50d4fef",
            "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
        ];
        Self::new(Kind::BiEncoder, "bge-small-en-v1.5", digests)
    }

    /// The shipped judges, by their registry entries.
    pub(crate) fn judges() -> [(&'static str, Self); 3] {
        let of = |id: &'static str, entry: &'static str| {
            let digests = ["weights_sha256", "tokenizer_sha256"].map(|field| text(entry, field));
            (id, Self::new(Kind::CrossEncoder, id, digests))
        };
        [
            of(
                "judge-minilm-nc-2",
                include_str!("../../../evaluator/registry/judge-minilm-nc-2.json"),
            ),
            of(
                "judge-bge-nc-2",
                include_str!("../../../evaluator/registry/judge-bge-nc-2.json"),
            ),
            of(
                "judge-minilm-open-1",
                include_str!("../../../evaluator/registry/judge-minilm-open-1.json"),
            ),
        ]
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            kind: self.kind,
            weights: &self.weights,
            weights_sha256: self.weights_sha256,
            tokenizer: &self.tokenizer,
            tokenizer_sha256: self.tokenizer_sha256,
            max_tokens: 512,
            max_windows: 8,
            caps_junk: false,
        }
    }

    pub(crate) fn open(&self) -> Evaluator {
        Evaluator::open(&self.source()).unwrap()
    }
}

/// A string field of a registry entry, which is flat JSON.
fn text<'a>(entry: &'a str, field: &str) -> &'a str {
    let (_, rest) = entry.split_once(&format!("\"{field}\": \"")).unwrap();
    rest.split_once('"').unwrap().0
}

fn cache() -> PathBuf {
    let of = |name| std::env::var_os(name).map(PathBuf::from);
    of("POQ_CACHE")
        .or_else(|| Some(of("XDG_CACHE_HOME")?.join("poq")))
        .or_else(|| Some(of("HOME")?.join(".cache/poq")))
        .unwrap()
}

/// A line of the golden file: name, windows, tokens, SHA-256 of the token ids, score, and SHA-256 of the
/// bits of the windows' values.
pub(crate) fn row(evaluator: &Evaluator, pair: &Pair) -> String {
    let windows = evaluator
        .tokenizer()
        .windows(&pair.prompt, &pair.answer)
        .unwrap();
    let ids: Vec<u32> = windows
        .prompt
        .iter()
        .chain(&windows.answer)
        .flat_map(|window| window.ids.iter().copied())
        .collect();
    let values = evaluator.values(&pair.prompt, &pair.answer).unwrap();
    let scores: Vec<i32> = values.iter().copied().map(millionths).collect();
    let score = mean(&scores);
    format!(
        "{:<13} | {} {:4} {} | {score:9} {}\n",
        pair.name,
        windows.answer.len(),
        ids.len(),
        digest(ids),
        digest(values.into_iter().map(f32::to_bits)),
    )
}

fn digest(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut hasher = Sha256::new();
    for number in numbers {
        hasher.update(number.to_le_bytes());
    }
    hex::encode(&hasher.finalize()[..8])
}
