//! Sampling settings: those of a request, and the recommendation of the model's makers for the
//! rest.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::weights;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampling {
    /// 0 is greedy; at most 2.
    pub temperature: f64,
    /// Nucleus mass, above 0 and at most 1.
    pub top_p: f64,
    /// Divides the odds of tokens that the answer already contains: 1 means no penalty; at most 2.
    pub repetition_penalty: f64,
    /// The same seed, prompt and settings give the same answer on the same build and machine.
    pub seed: u64,
}

impl Sampling {
    /// Always the most likely token, without a penalty.
    pub(crate) const GREEDY: Self = Self {
        temperature: 0.0,
        top_p: 1.0,
        repetition_penalty: 1.0,
        seed: 0,
    };
}

/// The sampling settings in a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// [`Sampling::temperature`].
    pub temperature: Option<f64>,
    /// [`Sampling::top_p`].
    pub top_p: Option<f64>,
    /// [`Sampling::repetition_penalty`].
    pub repetition_penalty: Option<f64>,
}

/// The recommendation of a model's makers, for settings that a request leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recommended {
    /// [`Sampling::temperature`].
    pub temperature: f64,
    /// [`Sampling::top_p`].
    pub top_p: f64,
    /// [`Sampling::repetition_penalty`].
    pub repetition_penalty: f64,
}

impl Default for Recommended {
    /// Greedy, for models without a recommendation.
    fn default() -> Self {
        Self {
            temperature: Sampling::GREEDY.temperature,
            top_p: Sampling::GREEDY.top_p,
            repetition_penalty: Sampling::GREEDY.repetition_penalty,
        }
    }
}

impl Recommended {
    /// The sampling of a request.
    pub(crate) fn complete(self, asked: Asked, seed: u64) -> Sampling {
        Sampling {
            temperature: asked.temperature.unwrap_or(self.temperature),
            top_p: asked.top_p.unwrap_or(self.top_p),
            repetition_penalty: asked.repetition_penalty.unwrap_or(self.repetition_penalty),
            seed,
        }
    }

    /// Reads a `generation_config.json` by the rules of Hugging Face's transformers.
    ///
    /// # Errors
    /// [`weights::Error::Io`] or [`weights::Error::Format`].
    pub(crate) fn read(generation_config: &Path) -> Result<Self, weights::Error> {
        let file: GenerationConfig = weights::read_json(generation_config)?;
        let recommended = Self {
            temperature: match file.do_sample {
                true => file.temperature.unwrap_or(1.0),
                false => 0.0,
            },
            top_p: file.top_p.unwrap_or(1.0),
            repetition_penalty: file.repetition_penalty.unwrap_or(1.0),
        };
        match recommended.out_of_range() {
            None => Ok(recommended),
            Some(reason) => Err(weights::Error::Format {
                path: generation_config.to_owned(),
                reason,
            }),
        }
    }

    /// A message about the first setting that is out of range.
    pub(crate) fn out_of_range(&self) -> Option<String> {
        let settings = [
            ("temperature", self.temperature, 0.0..=2.0),
            ("top_p", self.top_p, f64::MIN_POSITIVE..=1.0),
            ("repetition_penalty", self.repetition_penalty, 1.0..=2.0),
        ];
        let (name, value, range) = settings
            .into_iter()
            .find(|(_, value, range)| !range.contains(value))?;
        Some(format!(
            "{name} must be in {}..={}, not {value}",
            range.start(),
            range.end()
        ))
    }
}

/// The supported settings of a `generation_config.json`.
#[derive(Deserialize)]
struct GenerationConfig {
    #[serde(default)]
    do_sample: bool,
    temperature: Option<f64>,
    top_p: Option<f64>,
    repetition_penalty: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: Recommended = Recommended {
        temperature: 0.6,
        top_p: 0.9,
        repetition_penalty: 1.0,
    };

    #[test]
    fn what_a_request_leaves_open_is_recommended() {
        let asked = Asked {
            temperature: Some(0.0),
            ..Asked::default()
        };
        let sampling = LLAMA.complete(asked, 7);
        assert_eq!(
            (sampling.temperature, sampling.top_p, sampling.seed),
            (0.0, 0.9, 7)
        );
        assert_eq!(
            Recommended::default().complete(Asked::default(), 0),
            Sampling::GREEDY
        );
    }

    #[test]
    fn a_generation_config_is_read_as_transformers_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generation_config.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Recommended::read(&path)
        };
        let llama =
            r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 2]}"#;
        assert_eq!(read(llama).unwrap(), LLAMA);
        assert_eq!(read(r#"{"do_sample": true}"#).unwrap().temperature, 1.0);
        // Without `do_sample`, temperature is ignored.
        assert_eq!(
            read(r#"{"temperature": 0.6}"#).unwrap(),
            Recommended::default()
        );
        for bad in [
            "{",
            r#"{"do_sample": true, "temperature": 3}"#,
            r#"{"top_p": 0}"#,
            r#"{"repetition_penalty": 0.5}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
