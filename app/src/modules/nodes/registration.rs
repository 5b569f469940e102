//! The conditions on a node, at registration and after every update.

use poq_proto::v1::{GenesisNode, Node, NodeStatus, Role};
use poq_proto::{code, event};
use poq_store::State;

use super::sessions::check_stream;
use super::{find, keys, min_stake, name, operator_of_payout, put_weighted, require_role};
use crate::address::Address;
use crate::error::{Error, Result, ensure};
use crate::execution::Execution;
use crate::modules::{bank, models};
use crate::selection::CAPACITY;

/// The most models that one node may serve.
const MAX_MODELS: usize = 32;
/// The longest endpoint, bytes.
const MAX_ENDPOINT: usize = 256;
/// The capacity of a node whose message names none.
const DEFAULT_CAPACITY: u32 = 64;
/// The highest capacity of a node.
const MAX_CAPACITY: u32 = 100_000;
/// The reputation of a new node, ppm: below that of a node that does its duties, so that
/// registering again does not repair a bad reputation.
const NEW_REPUTATION: u32 = 500_000;

/// Registers a node with a stake from the operator's balance.
pub(super) fn register_from_balance(ctx: &mut Execution<'_>, node: GenesisNode) -> Result<()> {
    let operator = Address::parse(&node.operator, &ctx.block.params.bech32_prefix)?;
    let stake = node.stake;
    register(ctx, node)?;
    bank::debit(ctx.state, &operator, &ctx.block.params.denom, stake.into())
}

/// Registers a node whose stake exists already; genesis calls this directly.
pub fn register(ctx: &mut Execution<'_>, request: GenesisNode) -> Result<()> {
    let role = request.role();
    require_role(role)?;
    let operator = Address::parse(&request.operator, &ctx.block.params.bech32_prefix)?.to_string();
    let payout = payout_of_request(ctx, &operator, &request.payout)?;
    ensure!(
        find(ctx.state, role, &operator)?.is_none(),
        code::ALREADY_REGISTERED,
        "{operator} is already registered as {}",
        name(role)
    );
    check_payout(ctx.state, role, &operator, &payout)?;
    let minimum = min_stake(ctx, role);
    ensure!(
        request.stake >= minimum,
        code::STAKE_TOO_LOW,
        "stake {} is below the minimum {minimum}",
        request.stake
    );
    check_endpoint(role, &request.endpoint)?;
    check_models(ctx, role, &request.models, &[])?;
    check_stream(role, request.stream.as_ref())?;
    let capacity = capacity_of_request(request.capacity)?;

    let slot = claim_slot(ctx.state, role)?;
    ctx.state.put(keys::slot(role, slot), operator.as_bytes())?;
    ctx.state
        .put(keys::payout(role, &payout), operator.as_bytes())?;
    let mut node = Node {
        role: role.into(),
        operator,
        payout,
        endpoint: request.endpoint,
        models: request.models,
        stake: request.stake,
        reputation: NEW_REPUTATION.max(ctx.block.params.reputation_floor),
        capacity,
        status: NodeStatus::Active.into(),
        registered_height: ctx.block.height,
        slot,
        stream: request.stream,
        ..Node::default()
    };
    put_weighted(ctx, &mut node)?;
    ctx.emit(
        event::NODE_REGISTERED,
        &[
            (event::NODE, &node.operator),
            (event::ROLE, &name(role)),
            (event::STAKE, &node.stake),
        ],
    );
    Ok(())
}

/// Takes the first free slot, or else a new one.
fn claim_slot(state: &mut State, role: Role) -> Result<u64> {
    let prefix = keys::free_slots(role);
    if let Some((key, _)) = state.scan(&prefix, None, 1)?.pop() {
        let slot = key
            .strip_prefix(prefix.as_bytes())
            .and_then(|slot| std::str::from_utf8(slot).ok())
            .and_then(|slot| slot.parse().ok())
            .ok_or_else(|| Error::broken(format!("a key under {prefix} is corrupt")))?;
        state.delete(key)?;
        return Ok(slot);
    }
    let next = keys::next_slot(role);
    let slot = state.get_u64(&next)?.unwrap_or(0);
    ensure!(
        slot < CAPACITY,
        code::INVALID_REQUEST,
        "the chain already has {CAPACITY} {} nodes",
        name(role)
    );
    state.put_u64(next, slot.saturating_add(1))?;
    Ok(slot)
}

/// The payout account that a message asks for; empty means the operator.
pub(super) fn payout_of_request(
    ctx: &Execution<'_>,
    operator: &str,
    payout: &str,
) -> Result<String> {
    match payout {
        "" => Ok(operator.to_owned()),
        payout => Ok(Address::parse(payout, &ctx.block.params.bech32_prefix)?.to_string()),
    }
}

/// The capacity that a message asks for; 0 means [`DEFAULT_CAPACITY`].
pub(super) fn capacity_of_request(capacity: u32) -> Result<u32> {
    ensure!(
        capacity <= MAX_CAPACITY,
        code::INVALID_REQUEST,
        "capacity must be at most {MAX_CAPACITY}, got {capacity}"
    );
    Ok(match capacity {
        0 => DEFAULT_CAPACITY,
        capacity => capacity,
    })
}

/// Refuses a payout account that works for another operator. The account that is paid for an answer
/// has no seat in its committee, so a node could otherwise bar an evaluator of its choice from
/// judging it.
pub(super) fn check_payout(state: &State, role: Role, operator: &str, payout: &str) -> Result<()> {
    ensure!(
        !state.contains(keys::payout(role, payout))?,
        code::PAYOUT_TAKEN,
        "payout account {payout} belongs to another {} node",
        name(role)
    );
    for other in [Role::Inference, Role::Evaluator] {
        let of_another = |found: &str| payout != operator && found != operator;
        let operated = find(state, other, payout)?.map(|node| node.operator);
        let paid = operator_of_payout(state, other, payout)?;
        for found in [operated, paid].into_iter().flatten() {
            ensure!(
                !of_another(&found),
                code::PAYOUT_TAKEN,
                "payout account {payout} belongs to the {} node of {found}; name an account of your own",
                name(other)
            );
        }
    }
    Ok(())
}

pub(super) fn check_endpoint(role: Role, endpoint: &str) -> Result<()> {
    ensure!(
        endpoint.len() <= MAX_ENDPOINT && !endpoint.chars().any(char::is_control),
        code::INVALID_REQUEST,
        "endpoint must be at most {MAX_ENDPOINT} bytes without control characters"
    );
    ensure!(
        role == Role::Inference || endpoint.is_empty(),
        code::INVALID_REQUEST,
        "only inference nodes have an endpoint"
    );
    Ok(())
}

/// Requires every model to be registered, and not deprecated unless the node already serves it.
pub(super) fn check_models(
    ctx: &Execution<'_>,
    role: Role,
    wanted: &[String],
    served: &[String],
) -> Result<()> {
    ensure!(
        (1..=MAX_MODELS).contains(&wanted.len()) && wanted.is_sorted_by(|a, b| a < b),
        code::INVALID_REQUEST,
        "a node serves 1 to {MAX_MODELS} models, sorted and without duplicates"
    );
    for model in wanted {
        let deprecated = is_deprecated(ctx.state, role, model)?;
        ensure!(
            !deprecated || served.contains(model),
            code::MODEL_DEPRECATED,
            "model {model} is deprecated: it takes no new nodes"
        );
    }
    Ok(())
}

/// Whether a model accepts no new nodes of the role. The model must be registered.
pub(super) fn is_deprecated(state: &State, role: Role, model: &str) -> Result<bool> {
    match role {
        Role::Inference => Ok(models::model(state, model)?.deprecated),
        Role::Evaluator => Ok(models::evaluator_model(state, model)?.deprecated),
        Role::Validator | Role::Unspecified => Err(Error::broken("role was checked before")),
    }
}
