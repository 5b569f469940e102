use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::compute;
use crate::testing;

const LIMITS: Limits = Limits {
    texts: 8,
    body: 200_000,
    queue: 16,
    batch_tokens: 300,
    truncate: false,
};

/// The server with the real model, and the same model with short windows under a second id.
fn app() -> Router {
    app_with(LIMITS)
}

fn app_with(limits: Limits) -> Router {
    let jobs = compute::start(testing::models(), limits.queue, limits.batch_tokens).unwrap();
    router(jobs, &entries(), limits)
}

fn entries() -> [EvaluatorModel; 2] {
    [testing::published(), testing::short()]
}

/// The server with a model that never answers, and a queue for two pairs.
fn stuck() -> (Router, mpsc::Receiver<Job>) {
    let (jobs, queued) = mpsc::channel(2);
    (router(jobs, &entries(), LIMITS), queued)
}

async fn respond(app: &Router, method: &str, path: &str, body: impl Into<Body>) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn send(app: &Router, method: &str, path: &str, body: String) -> (u16, String) {
    let response = respond(app, method, path, body).await;
    (response.status().as_u16(), text(response).await)
}

async fn ranks(app: &Router, body: Value) -> Vec<Rank> {
    let (status, text) = send(app, "POST", "/rerank", body.to_string()).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// The logit of a single pair.
fn alone(model: &crate::scorer::Model, prompt: &str, answer: &str) -> f32 {
    let pair = model.encode(prompt, answer).unwrap();
    model.score(&pair).unwrap().value
}

fn berlin() -> Value {
    json!({
        "query": "How many people live in Berlin?",
        "texts": [
            "New York City is famous for the Metropolitan Museum of Art.",
            "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
            "Berlin is well known for its museums.",
        ],
    })
}

#[tokio::test]
async fn texts_are_ranked_from_the_best() {
    let app = app();
    let mut body = berlin();
    let indexes: Vec<usize> = ranks(&app, body.clone())
        .await
        .iter()
        .map(|rank| rank.index)
        .collect();
    assert_eq!(indexes, [1, 2, 0]);

    body["raw_scores"] = json!(true);
    body["return_text"] = json!(true);
    let mut raw = ranks(&app, body).await;
    // The last digits differ between machines.
    for rank in &mut raw {
        rank.score = (rank.score * 1e3).round() / 1e3;
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&raw).unwrap(), @r#"
    [
      {
        "index": 1,
        "text": "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
        "score": 9.085
      },
      {
        "index": 2,
        "text": "Berlin is well known for its museums.",
        "score": -3.934
      },
      {
        "index": 0,
        "text": "New York City is famous for the Metropolitan Museum of Art.",
        "score": -11.187
      }
    ]
    "#);
}

#[tokio::test]
async fn pairs_are_predicted_in_their_order() {
    let app = app();
    let pair = json!([
        "What is the capital of France?",
        "The capital of France is Paris."
    ]);
    let other = json!(["What is the capital of France?", "I like turtles."]);
    let body = json!({ "inputs": pair }).to_string();
    let (status, single) = send(&app, "POST", "/predict", body).await;
    assert_eq!(status, 200, "{single}");
    let single: Vec<Prediction> = serde_json::from_str(&single).unwrap();
    let body = json!({ "inputs": [other, pair] }).to_string();
    let (status, batch) = send(&app, "POST", "/predict", body).await;
    assert_eq!(status, 200, "{batch}");
    let batch: Vec<Vec<Prediction>> = serde_json::from_str(&batch).unwrap();
    assert_eq!((batch.len(), batch[0].len(), single.len()), (2, 1, 1));
    assert!(batch[0][0].score < 0.01 && single[0].score > 0.99);
    assert!((batch[1][0].score - single[0].score).abs() < 1e-6);
    assert_eq!(single[0].label, "LABEL_0");
}

/// Concurrent requests share batches; their scores equal those of single pairs.
#[tokio::test]
async fn concurrent_requests_get_the_scores_of_single_pairs() {
    let app = app();
    let model = testing::model();
    let question = "Explain why the sky is blue.";
    let texts = |n: usize| [testing::pairs()[n].1.clone(), "word ".repeat(40 * n)];
    let request = |n| {
        let body = json!({ "query": question, "texts": texts(n), "raw_scores": true });
        ranks(&app, body)
    };
    let (first, second, third) = tokio::join!(request(0), request(1), request(5));
    for (n, ranks) in [(0, first), (1, second), (5, third)] {
        assert_eq!(ranks.len(), 2);
        for rank in ranks {
            let logit = alone(&model, question, &texts(n)[rank.index]);
            assert!((logit - rank.score).abs() <= 1e-5, "{logit} {rank:?}");
        }
    }
}

#[tokio::test]
async fn texts_that_are_too_long_are_cut_off_only_if_asked() {
    let app = app();
    let long = "word ".repeat(130);
    let mut body = json!({ "query": "How long?", "texts": ["short", long], "model": "short" });
    let (status, refused) = send(&app, "POST", "/rerank", body.to_string()).await;
    assert_eq!(status, 413);
    insta::assert_snapshot!(refused, @r#"{"error":"the pair has 136 tokens including special ones, more than the 108 that are read; shorten it, or set `truncate`","error_type":"Validation"}"#);
    body["truncate"] = json!(true);
    assert_eq!(ranks(&app, body).await.len(), 2);
    let cutting = app_with(Limits {
        truncate: true,
        ..LIMITS
    });
    let body = json!({ "query": "How long?", "texts": [long], "model": "short" });
    assert_eq!(ranks(&cutting, body).await.len(), 1);
}

/// A cosine is already between −1 and 1.
#[tokio::test]
async fn a_bi_encoder_answers_with_cosines() {
    let models = [testing::bi_encoder()];
    let jobs = compute::start(testing::open(&models), 16, 300).unwrap();
    let app = router(jobs, &models, LIMITS);
    let mut body = berlin();
    let shown = ranks(&app, body.clone()).await;
    body["raw_scores"] = json!(true);
    let raw = ranks(&app, body).await;
    let scores = |ranks: &[Rank]| -> Vec<f32> { ranks.iter().map(|rank| rank.score).collect() };
    assert_eq!(scores(&shown), scores(&raw));
    assert!((shown[0].score - 0.787_141).abs() < 1e-5, "{shown:?}");
}

#[tokio::test]
async fn junk_is_at_the_end_of_every_list() {
    let entry = EvaluatorModel {
        caps_junk: true,
        ..testing::published()
    };
    let models = [entry];
    let jobs = compute::start(testing::open(&models), 16, 300).unwrap();
    let app = router(jobs, &models, LIMITS);
    let question = "How many people live in Berlin?";
    let texts = [question, "I like turtles.", "word ".repeat(900).as_str()].map(String::from);
    let mut body = json!({ "query": question, "texts": texts });
    let shown = ranks(&app, body.clone()).await;
    assert_eq!(shown[0].index, 1);
    assert!(shown[1..].iter().all(|rank| rank.score == 0.0), "{shown:?}");
    body["raw_scores"] = json!(true);
    let raw = ranks(&app, body).await;
    assert_eq!(raw[2].score, -2_147.483_6);
}

/// A text longer than one window is accepted if all windows together can read it.
#[tokio::test]
async fn long_texts_are_read_in_windows_by_the_model_that_is_named() {
    let app = app();
    let models = testing::models();
    let (question, answer) = testing::LONG;
    let mut body = json!({ "query": question, "texts": [answer], "raw_scores": true });
    let first = ranks(&app, body.clone()).await[0].score;
    assert!((first - alone(&models[0], question, answer)).abs() <= 1e-5);
    body["model"] = json!("short");
    let short = ranks(&app, body.clone()).await[0].score;
    assert!((short - alone(&models[1], question, answer)).abs() <= 1e-5);
    assert!((first - short).abs() > 0.1, "{first} {short}");

    body["model"] = json!("long");
    for (path, body) in [
        ("/rerank", body),
        (
            "/predict",
            json!({ "inputs": [question, answer], "model": "long" }),
        ),
    ] {
        let (status, refused) = send(&app, "POST", path, body.to_string()).await;
        assert_eq!(status, 404);
        assert_eq!(
            refused,
            r#"{"error":"this server has no model long, only ms-marco-minilm-l-12-v2, short","error_type":"Validation"}"#
        );
    }
}

#[tokio::test]
async fn bad_requests_are_clear_errors() {
    let (app, _queued) = stuck();
    let texts =
        |texts: Vec<String>| json!({ "query": "q", "texts": texts, "model": "short" }).to_string();
    let longest = 40 * 3 * BYTES_PER_TOKEN;
    let failures = [
        ("/rerank", "{".to_owned()),
        ("/rerank", r#"{ "query": "q" }"#.to_owned()),
        ("/rerank", texts(vec![])),
        ("/rerank", texts(vec!["a".into(); LIMITS.texts + 1])),
        ("/rerank", texts(vec!["a".repeat(longest + 1)])),
        ("/rerank", texts(vec!["a".repeat(LIMITS.body)])),
        ("/predict", r#"{ "inputs": "only one text" }"#.to_owned()),
        ("/predict", r#"{ "inputs": [] }"#.to_owned()),
        ("/nothing", String::new()),
    ];
    let mut answers = String::new();
    for (path, body) in failures {
        let (status, text) = send(&app, "POST", path, body).await;
        answers.push_str(&format!("{path} {status} {text}\n"));
    }
    for path in ["/rerank", "/info?model=long"] {
        let (status, text) = send(&app, "GET", path, String::new()).await;
        answers.push_str(&format!("GET {path} {status} {text}\n"));
    }
    insta::assert_snapshot!(answers, @r#"
    /rerank 400 {"error":"Failed to parse the request body as JSON: EOF while parsing an object at line 1 column 1","error_type":"Validation"}
    /rerank 422 {"error":"Failed to deserialize the JSON body into the target type: missing field `texts` at line 1 column 16","error_type":"Validation"}
    /rerank 400 {"error":"the request has no texts; send at least one","error_type":"Empty"}
    /rerank 413 {"error":"the request has 9 texts, more than the limit of 8","error_type":"Validation"}
    /rerank 413 {"error":"a text has 30001 bytes, more than the limit of 30000, which applies with `truncate` too","error_type":"Validation"}
    /rerank 413 {"error":"Failed to buffer the request body: length limit exceeded","error_type":"Validation"}
    /predict 422 {"error":"Failed to deserialize the JSON body into the target type: inputs: `inputs` must be a pair [\"question\", \"answer\"] or a list of pairs at line 1 column 29","error_type":"Validation"}
    /predict 400 {"error":"the request has no texts; send at least one","error_type":"Empty"}
    /nothing 404 {"error":"no such path; available are /rerank, /predict, /health, /info and /metrics","error_type":"Validation"}
    GET /rerank 405 {"error":"method not allowed for this path","error_type":"Validation"}
    GET /info?model=long 404 {"error":"this server has no model long, only ms-marco-minilm-l-12-v2, short","error_type":"Validation"}
    "#);
}

#[tokio::test]
async fn a_blank_question_is_nothing_to_judge_by() {
    let (app, _queued) = stuck();
    for (path, body) in [
        ("/rerank", json!({ "query": "", "texts": [""] })),
        (
            "/rerank",
            json!({ "query": " \n\t", "texts": ["an answer"] }),
        ),
        ("/predict", json!({ "inputs": ["", "an answer"] })),
        ("/predict", json!({ "inputs": [["q", "a"], [" ", "b"]] })),
    ] {
        let (status, text) = send(&app, "POST", path, body.to_string()).await;
        assert_eq!(status, 400, "{text}");
        assert!(
            text.contains("nothing to judge") && text.contains("Empty"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let (app, mut queued) = stuck();
    let two = json!({ "query": "q", "texts": ["a", "b"] }).to_string();
    let waiting = tokio::time::timeout(
        Duration::from_millis(50),
        respond(&app, "POST", "/rerank", two.clone()),
    );
    assert!(waiting.await.is_err());
    let refused = respond(&app, "POST", "/rerank", two).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "5");
    insta::assert_snapshot!(text(refused).await, @r#"{"error":"the queue is full; try again later","error_type":"Overloaded"}"#);
    // The first client has given up, and its pairs are cancelled.
    let job = queued.recv().await.unwrap();
    assert!(job.reply.is_closed());
}

#[tokio::test]
async fn a_server_without_its_model_is_unhealthy() {
    let (app, queued) = stuck();
    let (status, body) = send(&app, "GET", "/health", String::new()).await;
    assert_eq!((status, body.as_str()), (200, ""));
    drop(queued);
    for (method, path) in [("GET", "/health"), ("POST", "/rerank")] {
        let body = json!({ "query": "q", "texts": ["a"] }).to_string();
        let (status, body) = send(&app, method, path, body).await;
        assert_eq!(status, 503, "{body}");
        assert!(body.contains(r#""error_type":"Unhealthy""#), "{body}");
    }
}

#[tokio::test]
async fn info_has_the_model_and_the_limits() {
    let (app, _queued) = stuck();
    let (status, short) = send(&app, "GET", "/info?model=short", String::new()).await;
    assert_eq!(status, 200);
    let short: Value = serde_json::from_str(&short).unwrap();
    assert_eq!(short["model_id"], "short");
    assert_eq!([&short["max_input_length"], &short["max_windows"]], [40, 3]);
    let (status, body) = send(&app, "GET", "/info", String::new()).await;
    assert_eq!(status, 200);
    let body = body
        .replace(env!("CARGO_PKG_VERSION"), "VERSION")
        .replace(",\"", ",\n\"");
    insta::assert_snapshot!(body, @r#"
    {"model_id":"ms-marco-minilm-l-12-v2",
    "model_sha":"e1d085f4a02bfd0b2d3968c29336c8512dc9a899b29f546432c5f9981ae9f382",
    "licence":"Apache-2.0",
    "model_dtype":"float32",
    "model_type":{"reranker":{"id2label":{"0":"LABEL_0"},
    "label2id":{"LABEL_0":0}}},
    "files":{"model.onnx":"e1d085f4a02bfd0b2d3968c29336c8512dc9a899b29f546432c5f9981ae9f382",
    "tokenizer.json":"cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448"},
    "models":["ms-marco-minilm-l-12-v2",
    "short"],
    "max_concurrent_requests":16,
    "max_input_length":512,
    "max_windows":8,
    "max_batch_tokens":300,
    "max_batch_requests":null,
    "max_client_batch_size":8,
    "payload_limit":200000,
    "auto_truncate":false,
    "tokenization_workers":1,
    "version":"VERSION",
    "sha":null,
    "docker_label":null}
    "#);
}

#[tokio::test]
async fn requests_are_measured() {
    let shutdown = CancellationToken::new();
    let app = app().merge(poq_worker::program::metrics::routes(shutdown).unwrap());
    ranks(&app, berlin()).await;
    let (status, body) = send(&app, "GET", "/metrics", String::new()).await;
    assert_eq!(status, 200);
    let request = r#"poq_evaluator_requests_total{path="/rerank",status="200"} "#;
    for name in [
        request,
        "poq_evaluator_request_seconds_bucket",
        "poq_evaluator_pairs_total",
        "poq_evaluator_queue ",
    ] {
        assert!(body.contains(name), "{body}");
    }
}
