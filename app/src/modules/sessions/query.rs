//! Queries of `sessions`.

use poq_proto::code;
use poq_proto::v1::{
    QuerySessionRequest, QuerySessionResponse, QuerySessionsRequest, QuerySessionsResponse,
};
use poq_store::State;

use super::{get, keys};
use crate::error::{Result, ensure};
use crate::pagination::{ids_under, page_limit};

/// `poq.v1.Query/Session`.
pub fn query_session(state: &State, request: QuerySessionRequest) -> Result<QuerySessionResponse> {
    Ok(QuerySessionResponse {
        session: Some(get(state, request.id)?),
    })
}

/// `poq.v1.Query/Sessions`.
pub fn query_sessions(
    state: &State,
    request: QuerySessionsRequest,
) -> Result<QuerySessionsResponse> {
    let QuerySessionsRequest {
        user,
        node,
        after,
        limit,
    } = request;
    let limit = page_limit(limit);
    ensure!(
        user.is_empty() || node.is_empty(),
        code::INVALID_REQUEST,
        "ask for the sessions of a user or of a node, not of both"
    );
    let prefix = match (user.as_str(), node.as_str()) {
        ("", "") => {
            let after = keys::session(after);
            let page = state.scan_messages(keys::SESSIONS, Some(after.as_bytes()), limit)?;
            let sessions = page.into_iter().map(|(_, session)| session).collect();
            return Ok(QuerySessionsResponse { sessions });
        }
        (user, "") => keys::sessions_of(user),
        (_, node) => keys::sessions_of_node(node),
    };
    let ids = ids_under(state, &prefix, after, limit)?;
    let sessions = ids.into_iter().map(|id| get(state, id));
    Ok(QuerySessionsResponse {
        sessions: sessions.collect::<Result<_>>()?,
    })
}
