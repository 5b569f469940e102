use serde_json::json;

use super::*;

fn fields(body: &Value) -> Fields {
    Fields::parse(body.to_string().as_bytes()).unwrap()
}

/// The code and parameter of a refusal.
fn refused(body: &Value) -> Option<(Value, Value)> {
    let mut fields = fields(body);
    let read = fields
        .manner(None)
        .map(drop)
        .and_then(|()| fields.demands().map(drop));
    let error = read.and_then(|()| fields.finish()).err()?.body();
    Some((
        error["error"]["code"].clone(),
        error["error"]["param"].clone(),
    ))
}

#[test]
fn defaults_are_those_of_openai() {
    let manner = fields(&json!({})).manner(None).unwrap();
    assert_eq!(manner.sampling.temperature, Some(1_000_000));
    assert_eq!(manner.sampling.top_p, 1_000_000);
    assert_eq!(manner.sampling.max_tokens, 0);
    assert_eq!(manner.sampling.repetition_penalty, 1_000_000);
    assert_eq!(manner.max_answer_bytes, u32::MAX);
    assert!(!manner.is_stream && !manner.include_usage && manner.stop.is_empty());
    let again = fields(&json!({})).manner(None).unwrap();
    assert_ne!(manner.seed, again.seed, "two requests are two answers");
}

#[test]
fn what_is_asked_for_is_taken() {
    let mut fields = fields(&json!({
        "temperature": 0.25, "top_p": 0, "seed": -1,
        "stop": ["\n", "", "END"], "stream": true, "stream_options": { "include_usage": true },
        "poq": { "min_quality": 0.5, "max_price": "70000", "tier": "all" },
    }));
    let manner = fields.manner(Some(10)).unwrap();
    assert_eq!(manner.sampling.temperature, Some(250_000));
    assert_eq!(manner.sampling.top_p, 1);
    assert_eq!(
        (manner.sampling.max_tokens, manner.max_answer_bytes),
        (10, 640)
    );
    assert_eq!(manner.seed, u64::MAX);
    assert_eq!(manner.stop, ["\n", "END"]);
    assert!(manner.is_stream && manner.include_usage);
    let demands = Demands {
        min_quality: Some(500_000),
        max_price: Some(70_000),
        tier: Some(Tier::All),
    };
    assert_eq!(fields.demands().unwrap(), demands);
    fields.finish().unwrap();
}

#[test]
fn headers_add_to_the_body() {
    let header = |name: &str| match name {
        "x-poq-min-quality" => Some("0.5".to_owned()),
        "x-poq-tier" => Some("all".to_owned()),
        _ => None,
    };
    let body = Demands {
        min_quality: Some(1),
        ..Demands::default()
    };
    let demands = body.or_headers(header).unwrap();
    assert_eq!(
        (demands.min_quality, demands.tier),
        (Some(1), Some(Tier::All))
    );
    let wrong = |_: &str| Some("much".to_owned());
    assert!(Demands::default().or_headers(wrong).is_err());
}

#[test]
fn what_has_no_effect_is_ignored() {
    let body = json!({
        "n": 1, "user": "u", "metadata": { "a": 1 }, "safety_identifier": "s",
        "prompt_cache_key": "k", "service_tier": "auto", "parallel_tool_calls": true, "store": false,
        "presence_penalty": 0, "frequency_penalty": 0.0, "tool_choice": "none", "tools": [],
        "response_format": { "type": "text" }, "logprobs": false, "logit_bias": null, "stop": null,
        "max_tokens": null, "stream_options": null, "poq": null,
    });
    assert_eq!(refused(&body), None);
}

#[test]
fn all_else_is_refused_by_name() {
    for (param, value) in [
        ("audio", json!({})),
        ("frequency_penalty", json!(0.1)),
        ("functions", json!([])),
        ("logit_bias", json!({})),
        ("logprobs", json!(true)),
        ("modalities", json!(["text"])),
        ("n", json!(2)),
        ("prediction", json!({})),
        ("reasoning_effort", json!("low")),
        ("response_format", json!({ "type": "json_object" })),
        ("store", json!(true)),
        ("tool_choice", json!("auto")),
        ("tools", json!([{}])),
        ("top_logprobs", json!(0)),
        ("unheard_of", json!(1)),
    ] {
        let found = refused(&json!({ param: value }));
        assert_eq!(found, Some(("unsupported_parameter".into(), param.into())));
    }
    for (param, body) in [
        ("temperature", json!({ "temperature": 2.1 })),
        ("temperature", json!({ "temperature": "hot" })),
        ("top_p", json!({ "top_p": -0.1 })),
        ("seed", json!({ "seed": 0.5 })),
        ("stop", json!({ "stop": ["1", "2", "3", "4", "5"] })),
        ("stop", json!({ "stop": "a".repeat(65) })),
        ("stop", json!({ "stop": [1] })),
        ("stream", json!({ "stream": "yes" })),
        (
            "stream_options",
            json!({ "stream_options": { "include_usage": true } }),
        ),
        ("poq", json!({ "poq": 1 })),
        ("poq.min_quality", json!({ "poq": { "min_quality": 1.1 } })),
        ("poq.max_price", json!({ "poq": { "max_price": -1 } })),
        ("poq.tier", json!({ "poq": { "tier": "gold" } })),
    ] {
        assert_eq!(
            refused(&body),
            Some(("invalid_value".into(), param.into())),
            "{body}"
        );
    }
    let nested = json!({ "poq": { "colour": 1 } });
    assert_eq!(
        refused(&nested),
        Some(("unsupported_parameter".into(), "poq.colour".into()))
    );
    let nested = json!({ "stream": true, "stream_options": { "x": 1 } });
    let param = "stream_options.x".into();
    assert_eq!(
        refused(&nested),
        Some(("unsupported_parameter".into(), param))
    );
}

#[test]
fn a_count_is_a_whole_number_of_at_least_one() {
    for (value, expected) in [
        (json!(1), Some(Some(1))),
        (json!(u64::MAX), Some(Some(u32::MAX))),
        (Value::Null, Some(None)),
        (json!(0), None),
        (json!(1.5), None),
        (json!("1"), None),
    ] {
        let found = fields(&json!({ "max_tokens": value })).count("max_tokens");
        assert_eq!(found.ok(), expected, "{value}");
    }
}

#[test]
fn only_objects_are_bodies() {
    for body in ["", "{", "[]", "null", "\"text\"", "{\"a\": 1} x"] {
        let error = Fields::parse(body.as_bytes()).err().unwrap();
        assert_eq!(error.body()["error"]["code"], "invalid_json", "{body}");
    }
}
