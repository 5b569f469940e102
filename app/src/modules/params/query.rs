//! Queries of `params`.

use poq_proto::v1::{QueryParamsRequest, QueryParamsResponse};
use poq_store::State;

use crate::error::Result;

/// `poq.v1.Query/Params`.
pub fn query_params(state: &State, _request: QueryParamsRequest) -> Result<QueryParamsResponse> {
    Ok(QueryParamsResponse {
        params: Some(super::get(state)?),
    })
}
