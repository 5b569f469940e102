//! `MsgEnableVoteExtensions`.

use poq_proto::v1::{MsgEnableVoteExtensions, MsgEnableVoteExtensionsResponse};
use poq_proto::{code, event};

use crate::chain;
use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::modules::{params, validators};

/// Blocks until CometBFT uses a changed validator set. From then on it is the set in the state,
/// each of whose members was checked for a key.
const NOTICE: u64 = validators::POWER_DELAY;

/// `MsgEnableVoteExtensions`.
pub fn enable_vote_extensions(
    ctx: &mut Execution<'_>,
    message: MsgEnableVoteExtensions,
) -> Result<MsgEnableVoteExtensionsResponse> {
    params::require_authority(ctx, &message.authority)?;
    let first = chain::vote_extensions_height(ctx.state)?;
    ensure!(
        first == 0,
        code::EXTENSIONS_ENABLED,
        "vote extensions already begin at height {first}; that cannot be changed"
    );
    let earliest = ctx.block.height.saturating_add(NOTICE);
    ensure!(
        (earliest..=i64::MAX.unsigned_abs()).contains(&message.height),
        code::INVALID_ENABLE_HEIGHT,
        "vote extensions cannot begin at height {}, the earliest is {earliest}",
        message.height
    );
    validators::require_vrf_keys(ctx.state, message.height)?;
    chain::set_vote_extensions_height(ctx.state, message.height)?;
    ctx.emit(
        event::EXTENSIONS_ENABLED,
        &[(event::EFFECTIVE_HEIGHT, &message.height)],
    );
    Ok(MsgEnableVoteExtensionsResponse {})
}
