//! The supported parts of text-embeddings-inference's JSON.

use std::collections::BTreeMap;

use poq_proto::v1::EvaluatorModel;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::registry;

/// The name of a model's only class.
const LABEL: &str = "LABEL_0";

/// Common settings of requests. Unknown settings are ignored; known ones that would change the
/// scores and are not supported are refused.
#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    /// Id of the evaluator model; the server's first one by default.
    pub model: Option<String>,
    /// Whether long texts are cut off; the server's setting by default.
    pub truncate: Option<bool>,
    /// Logits instead of numbers between 0 and 1.
    #[serde(default)]
    pub raw_scores: bool,
    /// Only its type is checked.
    #[serde(rename = "truncation_direction")]
    _truncation_direction: Option<TruncationDirection>,
}

/// Where long texts are cut off: both of a pair keep their beginning.
#[derive(Debug, Deserialize)]
enum TruncationDirection {
    #[serde(alias = "right")]
    Right,
}

/// Body of `POST /rerank`.
#[derive(Debug, Deserialize)]
pub(super) struct RerankRequest {
    /// The prompt.
    pub query: String,
    /// Answers to it.
    pub texts: Vec<String>,
    /// Whether the response includes the answers.
    #[serde(default)]
    pub return_text: bool,
    /// Common settings.
    #[serde(flatten)]
    pub settings: Settings,
}

/// Body of `POST /predict`.
#[derive(Debug, Deserialize)]
pub(super) struct PredictRequest {
    /// The pairs to score.
    pub inputs: PredictInput,
    /// Common settings.
    #[serde(flatten)]
    pub settings: Settings,
}

/// Pairs of a prompt and an answer.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "`inputs` must be a pair [\"question\", \"answer\"] or a list of pairs"
)]
pub(super) enum PredictInput {
    /// One pair.
    Single((String, String)),
    /// Several.
    Batch(Vec<(String, String)>),
}

/// One item of the response to [`RerankRequest`].
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct Rank {
    /// Its index in the request, from 0.
    pub index: usize,
    /// The text, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The score, see [`shown`].
    pub score: f32,
}

/// A pair's score by class; the models here have one class.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct Prediction {
    /// The score, see [`shown`].
    pub score: f32,
    /// Name of the class.
    pub label: String,
}

impl Prediction {
    /// All classes of one pair.
    pub(super) fn of(score: f32) -> [Self; 1] {
        [Self {
            score,
            label: LABEL.to_owned(),
        }]
    }
}

/// The response to [`PredictRequest`].
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum PredictResponse {
    /// For one pair.
    Single([Prediction; 1]),
    /// For several, in order.
    Batch(Vec<[Prediction; 1]>),
}

/// The score that a client sees: the model's value itself if it is `raw`, as cosines always are,
/// otherwise the logistic function of the logit, between 0 and 1. Floats are for people and for
/// programs off the chain; the chain's raw score is computed from the logit in one place only,
/// `millionths` in the reference evaluator.
pub(super) fn shown(value: f32, raw: bool) -> f32 {
    match raw {
        true => value,
        false => 1.0 / (1.0 + (-value).exp()),
    }
}

/// Limits of a server; larger requests are refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Texts or pairs in one request.
    pub texts: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Queued pairs.
    pub queue: usize,
    /// Tokens of one batch after padding.
    pub batch_tokens: usize,
    /// Whether long texts are cut off if a request does not say.
    pub truncate: bool,
}

/// The query of `GET /info`.
#[derive(Debug, Deserialize)]
pub(super) struct InfoQuery {
    /// Id of the evaluator model; the server's first one by default.
    pub model: Option<String>,
}

/// The response to `GET /info`. In addition to TEI's members it has `files`, `licence`, `models`,
/// `max_windows` and `payload_limit`.
#[derive(Debug, Serialize)]
pub(super) struct Info {
    model_id: String,
    /// SHA-256 of the ONNX file; TEI has a commit here.
    model_sha: String,
    /// Licence of the weights, an SPDX identifier; empty if the entry has none.
    licence: String,
    model_dtype: &'static str,
    model_type: Value,
    /// SHA-256 by file name.
    files: BTreeMap<&'static str, String>,
    /// All ids that requests may use.
    models: Vec<String>,
    max_concurrent_requests: usize,
    /// Tokens of one window.
    max_input_length: u32,
    max_windows: u32,
    max_batch_tokens: usize,
    max_batch_requests: Option<usize>,
    max_client_batch_size: usize,
    payload_limit: usize,
    auto_truncate: bool,
    tokenization_workers: usize,
    version: &'static str,
    sha: Option<&'static str>,
    docker_label: Option<&'static str>,
}

impl Info {
    /// The information on `model` on a server with `models`.
    pub(super) fn new(model: &EvaluatorModel, models: &[EvaluatorModel], limits: &Limits) -> Self {
        Self {
            model_id: model.id.clone(),
            model_sha: model.weights_sha256.clone(),
            licence: model.licence.clone(),
            model_dtype: "float32",
            model_type: json!({
                "reranker": { "id2label": { "0": LABEL }, "label2id": { LABEL: 0 } }
            }),
            files: BTreeMap::from([
                (registry::WEIGHTS, model.weights_sha256.clone()),
                (registry::TOKENIZER, model.tokenizer_sha256.clone()),
            ]),
            models: models.iter().map(|model| model.id.clone()).collect(),
            max_concurrent_requests: limits.queue,
            max_input_length: model.max_tokens,
            max_windows: model.max_windows.max(1),
            max_batch_tokens: limits.batch_tokens,
            max_batch_requests: None,
            max_client_batch_size: limits.texts,
            payload_limit: limits.body,
            auto_truncate: limits.truncate,
            tokenization_workers: 1,
            version: env!("CARGO_PKG_VERSION"),
            sha: None,
            docker_label: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_defaults() {
        let request: RerankRequest =
            serde_json::from_str(r#"{ "query": "q", "texts": ["a"], "unknown": 1 }"#).unwrap();
        assert!(!request.return_text && !request.settings.raw_scores);
        assert_eq!(request.settings.truncate, None);
        for (json, is_taken) in [
            (r#"{ "inputs": ["q", "a"], "truncate": null }"#, true),
            (
                r#"{ "inputs": [["q", "a"]], "truncation_direction": "Right", "model": "m" }"#,
                true,
            ),
            (r#"{ "inputs": ["q", "a"], "model": 5 }"#, false),
            (
                r#"{ "inputs": ["q", "a"], "truncation_direction": "left" }"#,
                false,
            ),
            (r#"{ "inputs": "q" }"#, false),
            (r#"{ "inputs": ["q"] }"#, false),
            (r#"{ "inputs": [["q", "a", "b"]] }"#, false),
        ] {
            let request = serde_json::from_str::<PredictRequest>(json);
            assert_eq!(request.is_ok(), is_taken, "{json}: {request:?}");
        }
    }

    #[test]
    fn answers_have_their_form() {
        let rank = |index, text: Option<&str>, score| Rank {
            index,
            text: text.map(str::to_owned),
            score,
        };
        let ranks = [rank(1, None, 0.5), rank(0, Some("a"), -11.25)];
        insta::assert_snapshot!(
            serde_json::to_string(&ranks).unwrap(),
            @r#"[{"index":1,"score":0.5},{"index":0,"text":"a","score":-11.25}]"#
        );
        let single = PredictResponse::Single(Prediction::of(0.5));
        insta::assert_snapshot!(
            serde_json::to_string(&single).unwrap(),
            @r#"[{"score":0.5,"label":"LABEL_0"}]"#
        );
        let batch = PredictResponse::Batch(vec![Prediction::of(0.5), Prediction::of(1.0)]);
        insta::assert_snapshot!(
            serde_json::to_string(&batch).unwrap(),
            @r#"[[{"score":0.5,"label":"LABEL_0"}],[{"score":1.0,"label":"LABEL_0"}]]"#
        );
    }

    #[test]
    fn scores_are_between_0_and_1_unless_raw() {
        assert_eq!(shown(0.0, false), 0.5);
        assert_eq!(shown(-200.0, false), 0.0);
        assert_eq!(shown(200.0, false), 1.0);
        assert!((shown(2.0, false) - 0.880_797).abs() < 1e-6);
        assert_eq!(shown(-11.25, true), -11.25);
    }
}
