//! Completions and responses: the same answers in other forms.

use axum::http::StatusCode;
use poq_proto::v1::ChatRole;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::{Answered, MODEL, World};
use crate::played::Behaviour;

async fn complete(world: &World, body: &Value) -> Answered {
    world.send(world.post("/v1/completions", body)).await
}

async fn respond(world: &World, body: &Value) -> Answered {
    world.send(world.post("/v1/responses", body)).await
}

/// The data of a stream's events, each of which has its type as its name.
fn events(answered: &Answered) -> Vec<Value> {
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let lines: Vec<_> = answered
        .text
        .lines()
        .filter(|line| !line.is_empty())
        .collect();
    let events: Vec<Value> = lines
        .chunks(2)
        .map(|event| {
            let [name, data] = event else {
                panic!("{event:?}");
            };
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_is_an_answer_to_one_message() {
    let world = World::with_nodes(1).await;
    let body =
        json!({ "model": MODEL, "prompt": ["Why?"], "stop": "END", "best_of": 1, "echo": false });
    let answered = complete(&world, &body).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let body = answered.json();
    assert_eq!(body["object"], "text_completion");
    assert_eq!(body["choices"][0]["text"], "poq1node0 says: Why?");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["total_tokens"], 18);
    let receipt = body["poq"]["receipt"].as_str().unwrap();
    assert_eq!(body["id"], format!("cmpl-{receipt}"));
    let chat = &world.nodes[0].chats()[0];
    assert_eq!(chat.messages.len(), 1);
    assert_eq!(chat.messages[0].role(), ChatRole::User);
    assert_eq!(chat.stop, ["END"]);
    assert_eq!(chat.sampling.unwrap().max_tokens, 16, "OpenAI's default");

    let body = json!({
        "model": MODEL, "prompt": "Who?", "stream": true, "stream_options": { "include_usage": true },
    });
    let answered = complete(&world, &body).await;
    let chunks = answered.chunks();
    let (usage, chunks) = chunks.split_last().unwrap();
    assert_eq!(
        (&usage["choices"], &usage["usage"]["total_tokens"]),
        (&json!([]), &json!(18))
    );
    let parts = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["text"].as_str());
    assert_eq!(parts.collect::<String>(), "poq1node0 says: Who?");
    let last = chunks.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        last["poq"]["receipt"],
        answered.headers["x-poq-receipt"].to_str().unwrap()
    );
    for id in [&last["id"], &last["poq"]["receipt"]] {
        let path = format!("/v1/receipts/{}", id.as_str().unwrap());
        assert_eq!(world.get(&path).await.status, StatusCode::OK);
    }
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_completions_and_responses_do_not_serve_is_named() {
    let world = World::with_nodes(1).await;
    for (path, prompt, code, param, value) in [
        (
            "/v1/completions",
            "prompt",
            "unsupported_parameter",
            "echo",
            json!(true),
        ),
        (
            "/v1/completions",
            "prompt",
            "unsupported_parameter",
            "suffix",
            json!("end"),
        ),
        (
            "/v1/completions",
            "prompt",
            "unsupported_parameter",
            "best_of",
            json!(2),
        ),
        (
            "/v1/completions",
            "prompt",
            "unsupported_parameter",
            "logprobs",
            json!(1),
        ),
        (
            "/v1/completions",
            "prompt",
            "invalid_value",
            "prompt",
            json!(["a", "b"]),
        ),
        (
            "/v1/completions",
            "prompt",
            "invalid_value",
            "prompt",
            json!([1, 2]),
        ),
        (
            "/v1/completions",
            "prompt",
            "invalid_value",
            "prompt",
            json!(""),
        ),
        (
            "/v1/completions",
            "prompt",
            "invalid_value",
            "prompt",
            Value::Null,
        ),
        (
            "/v1/completions",
            "prompt",
            "invalid_value",
            "max_tokens",
            json!(0),
        ),
        (
            "/v1/completions",
            "prompt",
            "context_length_exceeded",
            "prompt",
            json!("a".repeat(4_001)),
        ),
        (
            "/v1/responses",
            "input",
            "unsupported_parameter",
            "store",
            json!(true),
        ),
        (
            "/v1/responses",
            "input",
            "unsupported_parameter",
            "previous_response_id",
            json!("resp_1-0"),
        ),
        (
            "/v1/responses",
            "input",
            "unsupported_parameter",
            "tools",
            json!([{}]),
        ),
        (
            "/v1/responses",
            "input",
            "invalid_value",
            "input",
            json!([]),
        ),
        (
            "/v1/responses",
            "input",
            "invalid_value",
            "max_output_tokens",
            json!("1"),
        ),
        (
            "/v1/responses",
            "input",
            "context_length_exceeded",
            "input",
            json!("a".repeat(4_001)),
        ),
    ] {
        let mut body = json!({ "model": MODEL, prompt: "Why?" });
        body[param] = value;
        let answered = world.send(world.post(path, &body)).await;
        assert_eq!(
            answered.status,
            StatusCode::BAD_REQUEST,
            "{}",
            answered.text
        );
        let error = &answered.json()["error"];
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!(code), &json!(param)),
            "{path}"
        );
    }
    assert_eq!(world.nodes[0].orders(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_has_the_text_the_settings_and_the_proof() {
    let world = World::with_nodes(1).await;
    let body = json!({
        "model": MODEL, "instructions": "Be brief.", "input": "Why?", "store": false,
        "max_output_tokens": 20, "temperature": 0.5,
    });
    let answered = respond(&world, &body).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let response = answered.json();
    let receipt = response["poq"]["receipt"].as_str().unwrap();
    let expected = json!({
        "id": format!("resp_{receipt}"), "object": "response", "status": "completed", "model": MODEL,
        "error": null, "incomplete_details": null, "instructions": "Be brief.", "max_output_tokens": 20,
        "temperature": 0.5, "top_p": 1.0, "store": false, "previous_response_id": null, "tools": [],
        "output": [{
            "id": format!("msg_{receipt}"), "type": "message", "status": "completed", "role": "assistant",
            "content": [{
                "type": "output_text", "text": "poq1node0 says: Why?", "annotations": [], "logprobs": [],
            }],
        }],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&response[name], value, "{name}");
    }
    assert_eq!(response["usage"]["input_tokens"], 11);
    assert_eq!(response["usage"]["total_tokens"], 18);
    let chat = &world.nodes[0].chats()[0];
    let roles: Vec<_> = chat.messages.iter().map(|message| message.role()).collect();
    assert_eq!(roles, [ChatRole::System, ChatRole::User]);
    for id in [receipt, response["id"].as_str().unwrap()] {
        let found = world.get(&format!("/v1/receipts/{id}")).await.json();
        assert_eq!(found["leaf"], response["poq"]["leaf"]);
    }
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_response_has_openai_s_events_in_their_order() {
    let world = World::with_nodes(1).await;
    let body = json!({ "model": MODEL, "input": "Say it in pieces", "stream": true });
    let answered = respond(&world, &body).await;
    let mut events = events(&answered);
    let text: String = events
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(text, "poq1node0 says: Say it in pieces");
    events.dedup_by_key(|event| event["type"].clone());
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(events[0]["response"]["status"], "in_progress");
    assert_eq!(events[5]["text"], text);
    let item = &events[7]["item"];
    assert_eq!(events[2]["item"]["id"], item["id"]);
    assert!(
        events[3..7]
            .iter()
            .all(|event| event["item_id"] == item["id"])
    );
    let response = &events[8]["response"];
    assert_eq!(response["output"], json!([item]));
    assert_eq!(item["content"][0]["text"], text);
    assert_eq!(response["usage"]["output_tokens"], 7);
    assert_eq!(
        response["poq"]["answer_sha256"],
        hex::encode(Sha256::digest(&text))
    );
    assert_eq!(response["id"], events[0]["response"]["id"]);
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_cut_short_or_lost_says_so() {
    let world = World::with_nodes(1).await;
    for is_stream in [false, true] {
        world.nodes[0].script(&[Behaviour::Endless]);
        let body = json!({
            "model": MODEL, "input": "Go on", "stream": is_stream, "max_output_tokens": 3,
        });
        let answered = respond(&world, &body).await;
        let response = match is_stream {
            false => answered.json(),
            true => {
                let mut events = events(&answered);
                let last = events.pop().unwrap();
                assert_eq!(last["type"], "response.incomplete");
                last["response"].clone()
            }
        };
        assert_eq!(response["status"], "incomplete");
        assert_eq!(
            response["incomplete_details"],
            json!({ "reason": "max_output_tokens" })
        );
        assert_eq!(response["output"][0]["status"], "incomplete");
    }
    world.settle(0).await;
    let charged = world.charged();
    world.nodes[0].script(&[Behaviour::Die(5)]);
    let body = json!({ "model": MODEL, "input": "Why?", "stream": true });
    let mut events = events(&respond(&world, &body).await);
    let last = events.pop().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["error"]["code"], "node_lost");
    assert_eq!(world.charged(), charged);
}
