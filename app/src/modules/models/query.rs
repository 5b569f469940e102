//! Queries of `models`.

use poq_proto::v1::{
    QueryEvaluatorModelRequest, QueryEvaluatorModelResponse, QueryEvaluatorModelsRequest,
    QueryEvaluatorModelsResponse, QueryModelRequest, QueryModelResponse, QueryModelsRequest,
    QueryModelsResponse,
};
use poq_store::State;
use prost::Message;

use super::{evaluator_model, keys, model};
use crate::error::Result;
use crate::pagination::page_limit;

/// `poq.v1.Query/Model`.
pub fn query_model(state: &State, request: QueryModelRequest) -> Result<QueryModelResponse> {
    Ok(QueryModelResponse {
        model: Some(model(state, &request.id)?),
    })
}

/// `poq.v1.Query/Models`.
pub fn query_models(state: &State, request: QueryModelsRequest) -> Result<QueryModelsResponse> {
    Ok(QueryModelsResponse {
        models: list(state, keys::MODELS, &request.after, request.limit)?,
    })
}

/// `poq.v1.Query/EvaluatorModel`.
pub fn query_evaluator_model(
    state: &State,
    request: QueryEvaluatorModelRequest,
) -> Result<QueryEvaluatorModelResponse> {
    Ok(QueryEvaluatorModelResponse {
        evaluator_model: Some(evaluator_model(state, &request.id)?),
    })
}

/// `poq.v1.Query/EvaluatorModels`.
pub fn query_evaluator_models(
    state: &State,
    request: QueryEvaluatorModelsRequest,
) -> Result<QueryEvaluatorModelsResponse> {
    Ok(QueryEvaluatorModelsResponse {
        evaluator_models: list(state, keys::EVALUATOR_MODELS, &request.after, request.limit)?,
    })
}

fn list<M: Message + Default>(
    state: &State,
    prefix: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<M>> {
    let start = (!after.is_empty()).then(|| format!("{prefix}{after}"));
    let page = state.scan_messages(
        prefix,
        start.as_deref().map(str::as_bytes),
        page_limit(limit),
    )?;
    Ok(page.into_iter().map(|(_, model)| model).collect())
}
