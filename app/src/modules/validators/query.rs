//! Queries of `validators`.

use poq_proto::v1::{
    QueryValidatorRequest, QueryValidatorResponse, QueryValidatorsRequest, QueryValidatorsResponse,
};
use poq_store::State;

use super::{get, keys};
use crate::error::Result;
use crate::pagination::page_limit;

/// `poq.v1.Query/Validator`.
pub fn query_validator(
    state: &State,
    request: QueryValidatorRequest,
) -> Result<QueryValidatorResponse> {
    Ok(QueryValidatorResponse {
        validator: Some(get(state, &request.operator)?),
    })
}

/// `poq.v1.Query/Validators`.
pub fn query_validators(
    state: &State,
    request: QueryValidatorsRequest,
) -> Result<QueryValidatorsResponse> {
    let after = (!request.after.is_empty()).then(|| keys::validator(&request.after));
    let page = state.scan_messages(
        keys::VALIDATORS,
        after.as_deref().map(str::as_bytes),
        page_limit(request.limit),
    )?;
    Ok(QueryValidatorsResponse {
        validators: page.into_iter().map(|(_, validator)| validator).collect(),
    })
}
