//! Queries of `params`.

use poq_proto::v1::{QueryParamsRequest, QueryParamsResponse};

use crate::error::Result;
use crate::store::State;

/// `poq.v1.Query/Params`.
pub fn query_params(state: &State, _request: QueryParamsRequest) -> Result<QueryParamsResponse> {
    Ok(QueryParamsResponse {
        params: Some(super::get(state)?),
    })
}
