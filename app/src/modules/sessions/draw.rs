//! The draws of a session: its node, then the leaves that are scored.

use std::collections::BTreeSet;

use poq_proto::event;
use poq_proto::v1::{
    Node, Role, Session, SessionNode, SessionRefundReason, SessionScoring, SessionStatus,
};

use super::lifecycle::refund;
use super::{enter, get, keys, node_of, sample, session_params};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::nodes::{self, Work};
use crate::selection::RandomStream;

/// Draws what a session waits for.
pub(super) fn draw(ctx: &mut Execution<'_>, session: &mut Session) -> Result<()> {
    match session.status() {
        SessionStatus::Opening => draw_node(ctx, session),
        SessionStatus::Drawing => draw_leaves(ctx, session),
        status => Err(Error::broken(format!(
            "session {} is {} and needs no draw",
            session.id,
            status.as_str_name()
        ))),
    }
}

fn draw_node(ctx: &mut Execution<'_>, session: &mut Session) -> Result<()> {
    let others = operators_of_set(ctx, session)?;
    let Some(node) = repeat_draw(ctx, session, &others)? else {
        return refund(ctx, session, SessionRefundReason::NoNode);
    };
    let Some(stream) = node.stream else {
        let operator = node.operator;
        return Err(Error::broken(format!("{operator} offers no sessions")));
    };
    nodes::begin_session(ctx, &node.operator)?;
    ctx.state
        .mark(keys::session_of_node(&node.operator, session.id))?;
    let due = ctx.block.height.saturating_add(session.blocks);
    ctx.emit(
        event::SESSION_DRAWN,
        &[
            (event::SESSION, &session.id),
            (event::USER, &session.user),
            (event::NODE, &node.operator),
            (event::DUE_HEIGHT, &due),
        ],
    );
    session.node = Some(SessionNode {
        operator: node.operator,
        key: stream.key,
        height: ctx.block.height,
        beacon: ctx.block.beacon.to_vec(),
    });
    enter(ctx, session, SessionStatus::Open, due)
}

/// The node that the beacon draws for a session: one that offers sessions of the model and that none
/// of these operators runs.
pub(super) fn repeat_draw(
    ctx: &Execution<'_>,
    session: &Session,
    others: &[String],
) -> Result<Option<Node>> {
    let excluded = slots(ctx, others)?;
    let mut stream = RandomStream::of_session(&ctx.block.beacon, session.id);
    nodes::draw(
        ctx.state,
        &mut stream,
        Work::Sessions,
        &session.model,
        &excluded,
    )
}

/// The slots of the nodes that these operators run.
pub(super) fn slots(ctx: &Execution<'_>, operators: &[String]) -> Result<BTreeSet<u64>> {
    let mut slots = BTreeSet::new();
    for operator in operators {
        let node = nodes::find(ctx.state, Role::Inference, operator)?;
        slots.extend(node.map(|node| node.slot));
    }
    Ok(slots)
}

/// The nodes that were drawn for the sessions of the set before this one.
pub(super) fn operators_of_set(ctx: &Execution<'_>, session: &Session) -> Result<Vec<String>> {
    let mut operators = Vec::new();
    for id in session.set..session.id {
        let before = get(ctx.state, id)?;
        operators.extend(before.node.map(|node| node.operator));
    }
    Ok(operators)
}

fn draw_leaves(ctx: &mut Execution<'_>, session: &mut Session) -> Result<()> {
    let operator = node_of(session)?.operator.clone();
    let due = ctx
        .block
        .height
        .saturating_add(session_params(ctx.block)?.leaf_window);
    let (id, rules) = (session.id, session.rules.unwrap_or_default());
    let all = session.scoring() == SessionScoring::All;
    let Some(settlement) = &mut session.settlement else {
        return Err(Error::broken(format!("session {id} is not settled")));
    };
    let samples = sample::samples(&rules, settlement.amount);
    settlement.all_drawn = all || settlement.count <= samples.into();
    if !settlement.all_drawn {
        let mut stream = RandomStream::of_leaves(&ctx.block.beacon, id);
        settlement.samples = samples;
        settlement.open_points = sample::points(&mut stream, settlement.amount, samples);
    }
    settlement.draw_height = ctx.block.height;
    settlement.beacon = ctx.block.beacon.to_vec();
    ctx.emit(
        event::SESSION_SAMPLED,
        &[
            (event::SESSION, &id),
            (event::USER, &session.user),
            (event::NODE, &operator),
            (event::DUE_HEIGHT, &due),
        ],
    );
    enter(ctx, session, SessionStatus::Revealing, due)
}
