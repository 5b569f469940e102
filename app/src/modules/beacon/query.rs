//! Queries of `beacon`.

use poq_proto::v1::{BeaconForm, QueryBeaconRequest, QueryBeaconResponse};
use poq_store::State;

use super::carries_outputs;
use crate::chain;
use crate::error::Result;

/// `poq.v1.Query/Beacon`.
pub fn query_beacon(state: &State, _request: QueryBeaconRequest) -> Result<QueryBeaconResponse> {
    let height = state.version();
    let form = match carries_outputs(state, height)? {
        true => BeaconForm::VoteOutputs,
        false => BeaconForm::BlockHash,
    };
    Ok(QueryBeaconResponse {
        height,
        beacon: chain::beacon(state)?.to_vec(),
        form: form.into(),
        vote_extensions_height: chain::vote_extensions_height(state)?,
    })
}
