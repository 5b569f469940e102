//! The registry's models.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use poq_proto::PPM;
use poq_proto::v1::Model;
use serde_json::{Value, json};

use super::Api;
use super::failure::ApiError;
use crate::ask::Tier;
use crate::pool::{PoolId, Snapshot};

/// `GET /v1/models`.
pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Value> {
    let snapshot = api.relay.catalog.get();
    let models = snapshot.models.values().filter(|model| !model.deprecated);
    let models: Vec<_> = models
        .map(|model| description(&api, &snapshot, model))
        .collect();
    Json(json!({ "object": "list", "data": models }))
}

/// `GET /v1/models/{id}`.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let snapshot = api.relay.catalog.get();
    let model = snapshot.model(&id).ok_or_else(|| ApiError::no_model(&id))?;
    Ok(Json(description(&api, &snapshot, model)))
}

fn description(api: &Api, snapshot: &Snapshot, model: &Model) -> Value {
    let pool = PoolId {
        model: model.id.clone(),
        tier: Tier::Sampled,
    };
    let open = api.relay.roster.open(&pool);
    let nodes: Vec<_> = open.iter().map(|live| live.operator()).collect();
    let problem = if snapshot.is_halted() {
        Some("chain_halted")
    } else if !open.is_empty() {
        None
    } else if snapshot.is_poor {
        Some("insufficient_quota")
    } else {
        Some("session_opening")
    };
    let rules = snapshot.rules(model);
    json!({
        "id": model.id,
        "object": "model",
        // The registry does not tell when a model was added.
        "created": 0,
        "owned_by": "poq",
        "poq": {
            "context_tokens": model.context_tokens,
            "max_prompt_bytes": rules.max_prompt_bytes,
            "max_answer_bytes": rules.max_answer_bytes,
            "base_price": model.base_price,
            "price_per_prompt_byte": model.price_per_prompt_byte,
            "price_per_answer_byte": model.price_per_answer_byte,
            "quality_target": f64::from(model.quality_target) / PPM as f64,
            "denom": snapshot.params.denom,
            "nodes": nodes,
            "ready": problem.is_none(),
            "problem": problem,
        },
    })
}
