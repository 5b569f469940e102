//! The validators with voting power.

use std::collections::BTreeMap;

use poq_store::State;

use super::keys;
use crate::error::{Error, Result};

/// Blocks until CometBFT uses a changed power.
pub const POWER_DELAY: u64 = 2;
/// The most validators with power, so that the work of a block is bounded.
pub(super) const MAX_ACTIVE: usize = 200;

/// The operators with voting power, and their powers.
pub(super) fn active(state: &State) -> Result<BTreeMap<String, u64>> {
    state
        .scan(keys::ACTIVE, None, MAX_ACTIVE + 1)?
        .into_iter()
        .map(|(key, _)| {
            let operator = operator_of(&key, keys::ACTIVE)?;
            let power = state.get_u64(&key)?.unwrap_or(0);
            Ok((operator, power))
        })
        .collect()
}

/// The operator in a key under `prefix`.
pub(super) fn operator_of(key: &[u8], prefix: &str) -> Result<String> {
    key.strip_prefix(prefix.as_bytes())
        .and_then(|operator| String::from_utf8(operator.to_vec()).ok())
        .ok_or_else(|| Error::broken(format!("a key under {prefix} is corrupt")))
}
