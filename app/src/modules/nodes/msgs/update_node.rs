//! `MsgUpdateNode`.

use poq_proto::event;
use poq_proto::v1::{MsgUpdateNode, MsgUpdateNodeResponse, Node};

use crate::error::Result;
use crate::execution::Execution;
use crate::modules::nodes::registration::{
    capacity_of_request, check_endpoint, check_models, check_payout, payout_of_request,
};
use crate::modules::nodes::sessions::{check_stream, stop_streaming};
use crate::modules::nodes::{get, keys, name, put_weighted, refuse_leaving, require_role};

/// `MsgUpdateNode`: replaces payout account, endpoint, models, capacity and stream.
pub fn update_node(
    ctx: &mut Execution<'_>,
    message: MsgUpdateNode,
) -> Result<MsgUpdateNodeResponse> {
    let role = message.role();
    require_role(role)?;
    let mut node = get(ctx.state, role, &message.operator)?;
    refuse_leaving(&node)?;
    let payout = payout_of_request(ctx, &message.operator, &message.payout)?;
    check_endpoint(role, &message.endpoint)?;
    check_models(ctx, role, &message.models, &node.models)?;
    check_stream(role, message.stream.as_ref())?;
    if payout != node.payout {
        check_payout(ctx.state, role, &node.operator, &payout)?;
        ctx.state.delete(keys::payout(role, &node.payout))?;
        ctx.state
            .put(keys::payout(role, &payout), node.operator.as_bytes())?;
    }
    stop_serving(ctx, &node, &message)?;
    node.payout = payout;
    node.endpoint = message.endpoint;
    node.models = message.models;
    node.stream = message.stream;
    node.capacity = capacity_of_request(message.capacity)?;
    put_weighted(ctx, &mut node)?;
    ctx.emit(
        event::NODE_UPDATED,
        &[(event::NODE, &node.operator), (event::ROLE, &name(role))],
    );
    Ok(MsgUpdateNodeResponse {})
}

/// Removes the node from the indexes of the models that it no longer names, and from those of sessions
/// if it no longer offers them.
fn stop_serving(ctx: &mut Execution<'_>, node: &Node, message: &MsgUpdateNode) -> Result<()> {
    for model in &node.models {
        let is_dropped = !message.models.contains(model);
        if is_dropped {
            keys::index(node.role(), model).set_weight(ctx.state, node.slot, 0)?;
        }
        if node.stream.is_some() && (is_dropped || message.stream.is_none()) {
            stop_streaming(ctx.state, node, model)?;
        }
    }
    Ok(())
}
