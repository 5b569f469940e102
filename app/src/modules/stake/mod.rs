//! Stakes that grow and shrink, of nodes and of validators. See the README beside this file.

mod keys;

use poq_proto::v1::{MsgAddStake, MsgAddStakeResponse, MsgUnbond, MsgUnbondResponse, Role};
use poq_proto::{code, event};

use crate::address::Address;
use crate::error::{Error, Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::{bank, nodes, validators};

/// Releases of one block; what exceeds it waits for the next block.
const MAX_RELEASES_PER_BLOCK: usize = 500;

/// `MsgAddStake`.
pub fn add_stake(ctx: &mut Execution<'_>, message: MsgAddStake) -> Result<MsgAddStakeResponse> {
    let (role, amount) = (message.role(), message.amount);
    let operator = checked(ctx, &message.operator, amount)?;
    bank::debit(ctx.state, &operator, &ctx.block.params.denom, amount.into())?;
    let stake = match role {
        Role::Inference | Role::Evaluator => {
            nodes::add_stake(ctx, role, &message.operator, amount)?
        }
        Role::Validator => validators::add_stake(ctx, &message.operator, amount)?,
        Role::Unspecified => return no_role(),
    };
    ctx.emit(
        event::STAKE_ADDED,
        &[
            (event::NODE, &operator),
            (event::ROLE, &nodes::name(role)),
            (event::AMOUNT, &amount),
            (event::STAKE, &stake),
        ],
    );
    Ok(MsgAddStakeResponse { stake })
}

/// `MsgUnbond`: the amount leaves the stake now and comes back to the balance after
/// `unbonding_window` blocks.
pub fn unbond(ctx: &mut Execution<'_>, message: MsgUnbond) -> Result<MsgUnbondResponse> {
    let (role, amount) = (message.role(), message.amount);
    let operator = checked(ctx, &message.operator, amount)?;
    let window = ctx.block.params.unbonding_window;
    let release_height = ctx.block.height.saturating_add(window);
    match role {
        Role::Inference | Role::Evaluator => {
            nodes::unbond(ctx, role, &message.operator, amount, release_height)?;
        }
        Role::Validator => validators::unbond(ctx, &message.operator, amount, release_height)?,
        Role::Unspecified => return no_role(),
    }
    ctx.state
        .mark(keys::release(release_height, role, &message.operator))?;
    ctx.emit(
        event::STAKE_UNBONDING,
        &[
            (event::NODE, &operator),
            (event::ROLE, &nodes::name(role)),
            (event::AMOUNT, &amount),
            (event::RELEASE_HEIGHT, &release_height),
        ],
    );
    Ok(MsgUnbondResponse { release_height })
}

/// Blocks after which a stake is looked at again that cannot be released yet.
const HELD: u64 = 16;

/// Pays out what is due at the end of this block. A stake that a slash may still reach goes to the
/// end of the queue, so that it keeps nobody waiting.
pub fn release_due(ctx: &mut Execution<'_>) -> Result<()> {
    for (key, _) in ctx
        .state
        .scan(keys::RELEASES, None, MAX_RELEASES_PER_BLOCK)?
    {
        let (height, role, operator) = keys::parse_release(&key)?;
        if height > ctx.block.height {
            break;
        }
        ctx.state.delete(&key)?;
        if nodes::leaves_on_duty(ctx.state, role, &operator)? {
            let later = ctx.block.height.saturating_add(HELD);
            ctx.state.mark(keys::release(later, role, &operator))?;
            continue;
        }
        match ctx.attempt(|ctx| release(ctx, height, role, &operator)) {
            Err(Error::Rejected { log, .. }) => {
                // A bug of this application; the chain goes on without it.
                tracing::error!(operator, log, "a stake cannot be released");
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

fn release(ctx: &mut Execution<'_>, height: u64, role: Role, operator: &str) -> Result<()> {
    let amount = match role {
        Role::Validator => validators::release(ctx, operator, height)?,
        role => nodes::release(ctx, role, operator, height)?,
    };
    if amount == 0 {
        // An entry of a later height took its part along.
        return Ok(());
    }
    let (prefix, denom) = (&ctx.block.params.bech32_prefix, &ctx.block.params.denom);
    let account = Address::parse(operator, prefix)?;
    bank::credit(ctx.state, &account, denom, amount.into())?;
    ctx.emit(
        event::STAKE_RELEASED,
        &[
            (event::NODE, &operator),
            (event::ROLE, &nodes::name(role)),
            (event::AMOUNT, &amount),
        ],
    );
    Ok(())
}

fn checked(ctx: &Execution<'_>, operator: &str, amount: u64) -> Result<Address> {
    ensure!(
        amount > 0,
        code::INVALID_COINS,
        "the amount must be positive"
    );
    Address::parse(operator, &ctx.block.params.bech32_prefix)
}

fn no_role<T>() -> Result<T> {
    reject!(
        code::INVALID_REQUEST,
        "the message does not say which role's stake it moves"
    )
}
