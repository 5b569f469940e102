use poq_proto::v1::{
    GenesisNode, MsgRegisterEvaluator, MsgRegisterEvaluatorResponse, MsgRegisterInferenceNode,
    MsgRegisterInferenceNodeResponse, Node, NodeStatus, Role,
};
use poq_proto::{PPM, code, event};

use super::{find, keys, min_stake, name, put_weighted};
use crate::address::Address;
use crate::error::{Error, Result, ensure};
use crate::execution::Execution;
use crate::modules::{bank, models};
use crate::selection::CAPACITY;

/// Models that one node may serve.
const MAX_MODELS: usize = 32;
/// Bytes of an endpoint.
const MAX_ENDPOINT: usize = 256;

/// `MsgRegisterInferenceNode`.
pub fn register_inference_node(
    x: &mut Execution<'_>,
    message: MsgRegisterInferenceNode,
) -> Result<MsgRegisterInferenceNodeResponse> {
    register_from_balance(
        x,
        GenesisNode {
            role: Role::Inference.into(),
            operator: message.operator,
            payout: message.payout,
            endpoint: message.endpoint,
            models: message.models,
            stake: message.stake,
        },
    )?;
    Ok(MsgRegisterInferenceNodeResponse {})
}

/// `MsgRegisterEvaluator`.
pub fn register_evaluator(
    x: &mut Execution<'_>,
    message: MsgRegisterEvaluator,
) -> Result<MsgRegisterEvaluatorResponse> {
    register_from_balance(
        x,
        GenesisNode {
            role: Role::Evaluator.into(),
            operator: message.operator,
            payout: message.payout,
            endpoint: String::new(),
            models: message.evaluator_models,
            stake: message.stake,
        },
    )?;
    Ok(MsgRegisterEvaluatorResponse {})
}

fn register_from_balance(x: &mut Execution<'_>, node: GenesisNode) -> Result<()> {
    let operator = Address::parse(&node.operator, &x.block.params.bech32_prefix)?;
    let stake = node.stake;
    register(x, node)?;
    bank::debit(x.state, &operator, &x.block.params.denom, stake.into())
}

/// Registers a node whose stake exists already; genesis does this without an account.
pub fn register(x: &mut Execution<'_>, request: GenesisNode) -> Result<()> {
    let role = request.role();
    let prefix = &x.block.params.bech32_prefix;
    let operator = Address::parse(&request.operator, prefix)?.to_string();
    let payout = match request.payout.as_str() {
        "" => operator.clone(),
        payout => Address::parse(payout, prefix)?.to_string(),
    };
    validate(x, role, &operator, &payout, &request)?;

    let next = keys::next_slot(role);
    let slot = x.state.get_u64(&next)?.unwrap_or(0);
    ensure!(
        slot < CAPACITY,
        code::INVALID_REQUEST,
        "the chain has its {CAPACITY} {} nodes already",
        name(role)
    );
    x.state.put_u64(next, slot + 1)?;
    x.state.put(keys::slot(role, slot), operator.as_bytes())?;
    x.state
        .put(keys::payout(role, &payout), operator.as_bytes())?;

    let node = Node {
        role: role.into(),
        operator,
        payout,
        endpoint: request.endpoint,
        models: request.models,
        stake: request.stake,
        reputation: u32::try_from(PPM).unwrap_or(u32::MAX),
        status: NodeStatus::Active.into(),
        registered_height: x.block.height,
        slot,
        ..Node::default()
    };
    put_weighted(x, &node)?;
    x.emit(
        event::NODE_REGISTERED,
        &[
            (event::NODE, &node.operator),
            (event::ROLE, &name(role)),
            (event::STAKE, &node.stake),
        ],
    );
    Ok(())
}

fn validate(
    x: &Execution<'_>,
    role: Role,
    operator: &str,
    payout: &str,
    request: &GenesisNode,
) -> Result<()> {
    ensure!(
        role != Role::Unspecified,
        code::INVALID_REQUEST,
        "node {operator} has no role"
    );
    ensure!(
        find(x.state, role, operator)?.is_none(),
        code::ALREADY_REGISTERED,
        "{operator} is registered as {} already",
        name(role)
    );
    ensure!(
        !x.state.contains(keys::payout(role, payout))?,
        code::PAYOUT_TAKEN,
        "payout account {payout} belongs to another {} node",
        name(role)
    );
    let minimum = min_stake(x, role);
    ensure!(
        request.stake >= minimum,
        code::STAKE_TOO_LOW,
        "stake {} is below the minimum {minimum}",
        request.stake
    );
    ensure!(
        request.endpoint.len() <= MAX_ENDPOINT && !request.endpoint.chars().any(char::is_control),
        code::INVALID_REQUEST,
        "endpoint must be at most {MAX_ENDPOINT} bytes without control characters"
    );
    ensure!(
        (1..=MAX_MODELS).contains(&request.models.len())
            && request.models.is_sorted_by(|a, b| a < b),
        code::INVALID_REQUEST,
        "a node serves 1 to {MAX_MODELS} models, sorted and without duplicates"
    );
    for model in &request.models {
        match role {
            Role::Inference => models::model(x.state, model).map(drop)?,
            Role::Evaluator => models::evaluator_model(x.state, model).map(drop)?,
            Role::Validator | Role::Unspecified => {
                return Err(Error::internal("role was checked before"));
            }
        }
    }
    Ok(())
}
