//! The validator that the node of a home votes for.

use anyhow::{Context, bail};
use poq_app::App;
use poq_app::beacon::OwnValidator;
use poq_app::modules::validators::consensus_address;

use crate::genesis::Genesis;
use crate::home::Home;
use crate::validator_keys::own_key;
use crate::vrf::VrfKeys;

/// Has the application extend the votes of the home's validator, if the home has one's key.
///
/// # Errors
/// If the chain has a VRF key for the validator that is not in the home, so that its votes would not
/// count; unless `without_key` allows that.
pub fn vote(app: App, home: &Home, without_key: bool) -> anyhow::Result<App> {
    if !home.validator_key().is_file() {
        return Ok(app);
    }
    let public_key = own_key(home)?;
    let keys = VrfKeys::read(home.vrf_key())?;
    let registered = match app.head().height {
        0 => check_genesis(home, &public_key, &keys),
        _ => Ok(()),
    };
    let own = OwnValidator {
        address: consensus_address(&public_key).to_vec(),
        secrets: keys.into_secrets(),
    };
    let usable = registered.and_then(|()| Ok(app.check_votes(&own)?));
    match usable {
        Err(error) if without_key => tracing::error!("{error:#}"),
        usable => usable.with_context(|| {
            format!(
                "the VRF keys in {} are not the validator's; --without-vrf-key starts the node \
                 all the same, for example to follow a change of the key",
                home.vrf_key().display()
            )
        })?,
    }
    Ok(app.voting_for(own))
}

/// Before its first block the chain is what its genesis says.
fn check_genesis(home: &Home, public_key: &[u8], keys: &VrfKeys) -> anyhow::Result<()> {
    if !home.genesis().is_file() {
        return Ok(());
    }
    let genesis = Genesis::read(&home.genesis())?;
    let validators = genesis.app_state.iter().flat_map(|state| &state.validators);
    let registered = validators
        .filter(|validator| validator.public_key == public_key && !validator.vrf_key.is_empty())
        .map(|validator| &validator.vrf_key);
    for vrf_key in registered {
        if !keys.public_keys().iter().any(|key| key[..] == vrf_key[..]) {
            bail!(
                "{} has not the VRF key {} that genesis.json has for this node's validator; restore \
                 the file, or put the node's key into the genesis",
                keys.path().display(),
                hex::encode(vrf_key)
            );
        }
    }
    Ok(())
}
