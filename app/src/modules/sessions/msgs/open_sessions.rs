//! `MsgOpenSessions`.

use poq_proto::v1::{
    Model, MsgOpenSessions, MsgOpenSessionsResponse, Params, Session, SessionParams, SessionRules,
    SessionScoring, SessionStatus,
};
use poq_proto::{code, event};

use crate::address::Address;
use crate::ecdsa::is_compressed_key;
use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::modules::nodes::Work;
use crate::modules::params::limits::MIN_ANSWER_BYTES;
use crate::modules::sessions::{await_draw, keys, put, session_params};
use crate::modules::{bank, models, nodes, tasks};

/// `MsgOpenSessions`: escrows the money of a set of sessions and queues them for the draw at the
/// beginning of the next block.
pub fn open_sessions(
    ctx: &mut Execution<'_>,
    message: MsgOpenSessions,
) -> Result<MsgOpenSessionsResponse> {
    let params = &ctx.block.params;
    let user = Address::parse(&message.user, &params.bech32_prefix)?;
    let limits = session_params(ctx.block)?;
    let model = models::model(ctx.state, &message.model)?;
    ensure!(
        !model.deprecated,
        code::MODEL_DEPRECATED,
        "model {} is deprecated: it takes no new sessions",
        model.id
    );
    validate(limits, &message, &model)?;
    ensure!(
        nodes::serves(ctx.state, Work::Sessions, &model.id)?,
        code::NO_NODES,
        "no active inference node offers sessions of model {}; try again later",
        model.id
    );
    tasks::require_committee(ctx, &message.user, &model)?;
    let total = u128::from(message.escrow).saturating_mul(message.nodes.into());
    bank::debit(ctx.state, &user, &params.denom, total)?;
    count_open(ctx, &message)?;

    let first = ctx.state.get_u64(keys::NEXT_ID)?.unwrap_or(1);
    let next = first.saturating_add(message.nodes.into());
    ctx.state.put_u64(keys::NEXT_ID, next)?;
    let template = Session {
        user: message.user,
        escrow: message.escrow,
        session_key: message.session_key,
        scoring: message.scoring,
        blocks: message.blocks,
        set: first,
        set_size: message.nodes,
        opened_height: ctx.block.height,
        terms: Some(model.terms()),
        rules: Some(rules(params, limits, &model)),
        model: model.id,
        evaluator_models: model.evaluator_models,
        ..Session::default()
    };
    for id in first..next {
        open(
            ctx,
            Session {
                id,
                ..template.clone()
            },
        )?;
    }
    Ok(MsgOpenSessionsResponse {
        first_session: first,
    })
}

fn open(ctx: &mut Execution<'_>, mut session: Session) -> Result<()> {
    ctx.state
        .mark(keys::session_of(&session.user, session.id))?;
    await_draw(ctx, &mut session, SessionStatus::Opening)?;
    ctx.emit(
        event::SESSION_OPENED,
        &[
            (event::SESSION, &session.id),
            (event::USER, &session.user),
            (event::MODEL, &session.model),
        ],
    );
    put(ctx.state, &session)
}

fn validate(limits: &SessionParams, message: &MsgOpenSessions, model: &Model) -> Result<()> {
    ensure!(
        (1..=limits.max_session_nodes).contains(&message.nodes),
        code::INVALID_REQUEST,
        "a set has 1 to {} sessions, got {}",
        limits.max_session_nodes,
        message.nodes
    );
    ensure!(
        (1..=limits.max_session_blocks).contains(&message.blocks),
        code::INVALID_REQUEST,
        "blocks must be in 1..={}, got {}",
        limits.max_session_blocks,
        message.blocks
    );
    ensure!(
        message.scoring() != SessionScoring::Unspecified,
        code::INVALID_REQUEST,
        "scoring {} is unknown: it is SAMPLED or ALL",
        message.scoring
    );
    ensure!(
        is_compressed_key(&message.session_key),
        code::INVALID_KEY,
        "session_key must be a compressed secp256k1 key of 33 bytes"
    );
    let least = model.terms().price(1, MIN_ANSWER_BYTES.into());
    let most = limits
        .sample_value
        .saturating_mul(limits.max_samples.into());
    ensure!(
        (least..=most).contains(&message.escrow),
        code::INVALID_REQUEST,
        "the escrow of a session with model {} is {least} to {most}, got {}",
        model.id,
        message.escrow
    );
    Ok(())
}

/// The rules that the session keeps.
fn rules(params: &Params, limits: &SessionParams, model: &Model) -> SessionRules {
    SessionRules {
        max_prompt_bytes: model.longest_prompt(params),
        max_answer_bytes: params.max_answer_bytes,
        max_order_price: limits.max_order_price,
        sample_value: limits.sample_value,
        min_samples: limits.min_samples,
        max_samples: limits.max_samples,
        max_all_leaves: limits.max_all_leaves,
        evaluator_share: params.evaluator_share,
        protocol_share: params.protocol_share,
        floor_share: limits.floor_share,
    }
}

fn count_open(ctx: &mut Execution<'_>, message: &MsgOpenSessions) -> Result<()> {
    let (user, limit) = (&message.user, session_params(ctx.block)?.max_open_sessions);
    let open = ctx.state.get_u64(keys::open(user))?.unwrap_or(0);
    let after = open.saturating_add(message.nodes.into());
    ensure!(
        after <= u64::from(limit),
        code::TOO_MANY_OPEN_SESSIONS,
        "{user} has {open} open sessions and may have {limit}; wait for one to end"
    );
    Ok(ctx.state.put_u64(keys::open(user), after)?)
}
