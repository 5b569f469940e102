//! Evaluator models as a registry describes them, and where their files are.

#[path = "../registry/entries.rs"]
mod entries;

use poq_proto::v1::EvaluatorModel;

pub use entries::{Error, TOKENIZER, WEIGHTS, entries, read};

/// Name of the published int8 file, of which the canonical one is made.
pub const INT8: &str = "model.int8.onnx";
/// Name of a judge's adapter in its folder.
pub const ADAPTER: &str = "adapter.safetensors";
/// The model that this program runs unless told otherwise.
pub const DEFAULT_MODEL: &str = "judge-minilm-nc-2";

/// The entry of [`DEFAULT_MODEL`], which test networks have in their genesis.
pub fn default_entry() -> Result<EvaluatorModel, Error> {
    Ok(entries()?.swap_remove(0))
}

#[cfg(test)]
mod tests {
    use poq_proto::calibrate;

    use super::*;
    use crate::transcode::{JUDGES, MODELS};

    #[test]
    fn the_entries_are_of_the_transcoded_models() {
        let entries = entries().unwrap();
        assert_eq!(entries[0], default_entry().unwrap());
        assert_eq!(entries[0].id, DEFAULT_MODEL);
        let judges = JUDGES
            .iter()
            .map(|judge| (judge.id, judge.canonical_sha256));
        let published = MODELS
            .iter()
            .map(|model| (model.id, model.canonical_sha256));
        let models: Vec<_> = judges.chain(published).collect();
        assert_eq!(models.len(), entries.len());
        for (entry, model) in entries.iter().zip(models) {
            assert_eq!((entry.id.as_str(), entry.weights_sha256.as_str()), model);
            assert_eq!((entry.max_tokens, entry.max_windows), (512, 8));
        }
    }

    #[test]
    fn the_calibrations_are_valid_tables() {
        for table in entries()
            .unwrap()
            .into_iter()
            .map(|entry| entry.calibration)
        {
            assert!((2..=256).contains(&table.len()));
            assert!(table.is_sorted_by(|a, b| a.raw_score < b.raw_score && a.quality <= b.quality));
            assert_eq!(calibrate(&table, i32::MIN), 0);
            assert_eq!(calibrate(&table, i32::MAX), 1_000_000);
        }
    }

    #[test]
    fn a_broken_entry_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entry.json");
        std::fs::write(&path, r#"{ "id": 5 }"#).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("entry.json"), "{error}");
    }
}
