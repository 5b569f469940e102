//! `MsgUpdateNode`.

use poq_proto::event;
use poq_proto::v1::{MsgUpdateNode, MsgUpdateNodeResponse, Node};

use crate::error::Result;
use crate::execution::Execution;
use crate::modules::nodes::registration::{
    capacity_of_request, check_endpoint, check_models, check_payout, payout_of_request,
};
use crate::modules::nodes::{get, keys, name, put_weighted, refuse_leaving, require_role};

/// `MsgUpdateNode`: replaces payout account, endpoint, models and capacity.
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
    if payout != node.payout {
        check_payout(ctx.state, role, &node.operator, &payout)?;
        ctx.state.delete(keys::payout(role, &node.payout))?;
        ctx.state
            .put(keys::payout(role, &payout), node.operator.as_bytes())?;
    }
    stop_serving(ctx, &node, &message.models)?;
    node.payout = payout;
    node.endpoint = message.endpoint;
    node.models = message.models;
    node.capacity = capacity_of_request(message.capacity)?;
    put_weighted(ctx, &mut node)?;
    ctx.emit(
        event::NODE_UPDATED,
        &[(event::NODE, &node.operator), (event::ROLE, &name(role))],
    );
    Ok(MsgUpdateNodeResponse {})
}

/// Removes the node from the indexes of the models that it no longer names.
fn stop_serving(ctx: &mut Execution<'_>, node: &Node, kept: &[String]) -> Result<()> {
    let dropped = node.models.iter().filter(|model| !kept.contains(model));
    for model in dropped {
        keys::index(node.role(), model).set_weight(ctx.state, node.slot, 0)?;
    }
    Ok(())
}
