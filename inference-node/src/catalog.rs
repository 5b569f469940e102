//! Models that the node knows by name: `models/*.toml`.
//!
//! Users fetch the weights themselves, under each model's licence. An entry therefore has no digest
//! unless `make setup` fetches the file; otherwise the digest is computed from the user's file.

use std::path::PathBuf;

use anyhow::Context;
use poq_proto::v1::{Model, WeightedEvaluatorModel};
use serde::{Deserialize, Serialize};

use crate::generator::Recommended;
use crate::generator::weights::{Memory, Shape, WeightType};

const ENTRIES: [&str; 7] = [
    include_str!("../models/smollm2-135m-instruct.toml"),
    include_str!("../models/llama-3.2-1b-instruct.toml"),
    include_str!("../models/llama-3.2-3b-instruct.toml"),
    include_str!("../models/llama-3-8b-instruct.toml"),
    include_str!("../models/llama-3-70b-instruct.toml"),
    include_str!("../models/mixtral-8x7b-instruct-v0.1.toml"),
    include_str!("../models/mixtral-8x22b-instruct-v0.1.toml"),
];

/// A model of the catalog.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Id in a chain's registry.
    pub id: String,
    /// Display name.
    pub name: String,
    /// "llama" or "mixtral".
    pub architecture: String,
    /// Name of its licence.
    pub licence: String,
    /// Number of weights.
    pub parameters: u64,
    /// Maximum tokens of prompt and answer together.
    pub context_tokens: u32,
    /// Format of its conversations: "llama3", "mistral" or "chatml".
    pub chat_template: String,
    /// Recommended type of its matrices in memory.
    pub weights: WeightType,
    /// Sampling settings that its makers recommend, for requests that leave them open.
    pub sampling: Recommended,
    /// Source of its safetensors.
    pub source: Hub,
    /// Its dimensions.
    pub shape: Shape,
    /// Its GGUF files, under their usual names.
    pub quantisations: Vec<Quantisation>,
    /// Terms that the authority may register.
    pub registry: Terms,
}

/// A repository on the Hugging Face hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hub {
    /// `organisation/name`.
    pub hub: String,
    /// Number of files that hold the weights.
    pub shards: u32,
}

/// A GGUF file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quantisation {
    /// Type of most matrices, as named by llama.cpp.
    pub name: String,
    /// The file, or its first part.
    pub file: String,
    /// Approximate size of all parts.
    pub bytes: u64,
    /// Its digest, if `make setup` fetches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Default terms for serving the model; the chain's authority can change them. Amounts are in base
/// units, qualities in ppm.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    base_price: u64,
    price_per_prompt_byte: u64,
    price_per_answer_byte: u64,
    quality_floor: u32,
    quality_target: u32,
    /// 0 means the chain's own limit.
    max_prompt_bytes: u32,
    evaluator_models: Vec<Seat>,
}

/// An evaluator model and its share of the seats.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seat {
    id: String,
    weight: u32,
}

/// All entries, small models first.
///
/// # Errors
/// If an entry is malformed, which a test rules out.
pub(crate) fn all() -> anyhow::Result<Vec<Entry>> {
    let parsed = ENTRIES.iter().map(|text| toml::from_str(text));
    parsed
        .collect::<Result<_, _>>()
        .context("the catalog is malformed")
}

/// The entry with this id.
///
/// # Errors
/// If there is none.
pub(crate) fn find(id: &str) -> anyhow::Result<Entry> {
    let found = all()?.into_iter().find(|entry| entry.id == id);
    found.with_context(|| {
        format!("the catalog has no model `{id}`: see `poq-inference-node models list`")
    })
}

impl Entry {
    /// The entry for a chain's registry, for files with this digest.
    pub(crate) fn registered(&self, weights_sha256: String) -> Model {
        let terms = &self.registry;
        let evaluator_models = terms
            .evaluator_models
            .iter()
            .map(|seat| WeightedEvaluatorModel {
                id: seat.id.clone(),
                weight: seat.weight,
            });
        Model {
            id: self.id.clone(),
            architecture: self.architecture.clone(),
            weights_sha256,
            context_tokens: self.context_tokens,
            base_price: terms.base_price,
            price_per_prompt_byte: terms.price_per_prompt_byte,
            price_per_answer_byte: terms.price_per_answer_byte,
            quality_floor: terms.quality_floor,
            quality_target: terms.quality_target,
            evaluator_models: evaluator_models.collect(),
            deprecated: false,
            max_prompt_bytes: terms.max_prompt_bytes,
        }
    }

    /// The digest of its files, if the catalog pins it.
    pub(crate) fn pinned(&self) -> Option<&str> {
        let digests = self.quantisations.iter();
        digests.filter_map(|file| file.sha256.as_deref()).next()
    }

    /// Default location of its files: its folder in the cache, under the name of a quantisation, or
    /// as safetensors.
    pub(crate) fn default_file(&self) -> PathBuf {
        let folder = poq_client::cache().join("models").join(&self.id);
        let files = self
            .quantisations
            .iter()
            .map(|file| folder.join(&file.file));
        let found = files.into_iter().find(|file| file.is_file());
        found.unwrap_or(folder)
    }

    /// Estimated memory for the smallest quantisation.
    pub(crate) fn memory(&self) -> Memory {
        let smallest = self.quantisations.iter().map(|file| file.bytes).min();
        self.shape.memory(self.weights, smallest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::config;

    #[test]
    fn every_file_is_in_the_catalog() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let entries = all().unwrap();
        let named = entries.iter().map(|entry| format!("{}.toml", entry.id));
        assert_eq!(named.collect::<BTreeSet<_>>(), files);
    }

    #[test]
    fn ids_are_such_as_a_chain_takes() {
        for entry in all().unwrap() {
            let letters =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
            assert!(
                entry.id.len() <= 64 && entry.id.chars().all(letters),
                "{}",
                entry.id
            );
        }
    }

    #[test]
    fn numbers_agree_with_each_other() {
        for entry in all().unwrap() {
            let id = &entry.id;
            assert_eq!(entry.shape.parameters(), entry.parameters, "{id}");
            assert_eq!(
                entry.shape.experts > 0,
                entry.architecture == "mixtral",
                "{id}"
            );
            assert!(!entry.quantisations.is_empty(), "{id}");
            assert_eq!(entry.sampling.out_of_range(), None, "{id}");
            for file in &entry.quantisations {
                let bits = file.bytes as f64 * 8.0 / entry.parameters as f64;
                // Small models have a greater part of their weights in larger blocks.
                let expected = match file.name.as_str() {
                    "Q4_K_M" => 4.5..5.3,
                    "Q4_1" => 5.0..6.0,
                    "Q8_0" => 8.4..8.6,
                    other => panic!("{id}: {other}"),
                };
                assert!(expected.contains(&bits), "{id} {}: {bits}", file.name);
                let digest = file.sha256.as_deref().unwrap_or("0");
                assert!(digest.len() == 64 || digest == "0", "{id}");
            }
            let terms = &entry.registry;
            assert!(terms.quality_floor < terms.quality_target, "{id}");
            assert!(terms.quality_target <= 1_000_000, "{id}");
            // Every token has at least one byte, so a model without a limit fits the chain's own of
            // 32 KiB.
            let longest = match terms.max_prompt_bytes {
                0 => 32 << 10,
                bytes => bytes / 3,
            };
            assert!(longest <= entry.context_tokens, "{id}");
        }
    }

    #[test]
    fn memory_is_about_what_was_measured() {
        let entry = find(config::DEFAULT_MODEL).unwrap();
        // The README's table, with some 500 tokens in the context.
        for (weights, measured) in [
            (WeightType::Q8_0, 540.0),
            (WeightType::F32, 977.0),
            (WeightType::Original, 413.0),
        ] {
            let file = Some(entry.quantisations[0].bytes);
            let estimate = entry.shape.memory(weights, file).with(500) as f64 / f64::from(1 << 20);
            let ratio = estimate / measured;
            assert!(
                (0.7..1.3).contains(&ratio),
                "{weights:?}: {estimate} of {measured}"
            );
        }
    }

    #[test]
    fn the_default_model_is_what_a_local_network_has() {
        let genesis = include_str!("../../testnet/config/genesis-template.json");
        let genesis: Value = serde_json::from_str(genesis).unwrap();
        let registered: Model = serde_json::from_value(genesis["models"][0].clone()).unwrap();
        let entry = find(config::DEFAULT_MODEL).unwrap();
        assert_eq!(entry.registered(entry.pinned().unwrap().into()), registered);
        assert_eq!(entry.default_file(), config::default_model_file());
    }

    #[test]
    fn an_unknown_id_says_where_the_known_ones_are() {
        assert!(
            find("gpt-5")
                .unwrap_err()
                .to_string()
                .contains("models list")
        );
    }
}
