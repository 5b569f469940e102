//! `MsgSetVrfKey`.

use poq_proto::v1::{MsgSetVrfKey, MsgSetVrfKeyResponse};
use poq_proto::{code, event};

use crate::error::{Result, ensure};
use crate::execution::Execution;
use crate::modules::validators::vrf::{VRF_KEY_DELAY, require_well_formed};
use crate::modules::validators::{get, put, refuse_tombstoned};

/// `MsgSetVrfKey`.
pub fn set_vrf_key(ctx: &mut Execution<'_>, message: MsgSetVrfKey) -> Result<MsgSetVrfKeyResponse> {
    let mut validator = get(ctx.state, &message.operator)?;
    refuse_tombstoned(&validator)?;
    require_well_formed(&message.vrf_key)?;
    let height = ctx.block.height;
    ensure!(
        validator.next_vrf_key.is_empty() || validator.next_vrf_key_height <= height,
        code::VRF_KEY_PENDING,
        "the last change of the VRF key of {} is effective from height {}; wait for it",
        validator.operator,
        validator.next_vrf_key_height
    );
    if !validator.next_vrf_key.is_empty() {
        validator.vrf_key = std::mem::take(&mut validator.next_vrf_key);
    }
    validator.next_vrf_key = message.vrf_key;
    validator.next_vrf_key_height = height.saturating_add(VRF_KEY_DELAY);
    put(ctx.state, &validator)?;
    ctx.emit(
        event::VRF_KEY_SET,
        &[
            (event::NODE, &validator.operator),
            (event::EFFECTIVE_HEIGHT, &validator.next_vrf_key_height),
        ],
    );
    Ok(MsgSetVrfKeyResponse {
        effective_height: validator.next_vrf_key_height,
    })
}
