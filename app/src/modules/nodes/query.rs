//! Queries of `nodes`.

use poq_proto::code;
use poq_proto::v1::{
    QueryNodeRequest, QueryNodeResponse, QueryNodesRequest, QueryNodesResponse, Role,
};
use poq_store::State;

use super::{get, keys};
use crate::error::{Result, ensure};
use crate::pagination::page_limit;

/// `poq.v1.Query/Node`.
pub fn query_node(state: &State, request: QueryNodeRequest) -> Result<QueryNodeResponse> {
    let role = request.role();
    check_role(role)?;
    Ok(QueryNodeResponse {
        node: Some(get(state, role, &request.operator)?),
    })
}

/// `poq.v1.Query/Nodes`.
pub fn query_nodes(state: &State, request: QueryNodesRequest) -> Result<QueryNodesResponse> {
    let role = request.role();
    check_role(role)?;
    let after = (!request.after.is_empty()).then(|| keys::node(role, &request.after));
    let page = state.scan_messages(
        keys::nodes(role),
        after.as_deref().map(str::as_bytes),
        page_limit(request.limit),
    )?;
    Ok(QueryNodesResponse {
        nodes: page.into_iter().map(|(_, node)| node).collect(),
    })
}

/// Refuses a query that does not name the role of nodes.
pub fn check_role(role: Role) -> Result<()> {
    ensure!(
        matches!(role, Role::Inference | Role::Evaluator),
        code::INVALID_REQUEST,
        "the query does not say which role, inference or evaluator"
    );
    Ok(())
}
