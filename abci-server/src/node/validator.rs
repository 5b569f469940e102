//! The validator whose votes this node extends.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use poq_app::App;
use poq_app::modules::beacon::OwnValidator;
use poq_app::modules::validators::consensus_address;
use poq_client::{Client, Status};
use tokio::time::interval;

use crate::home::Home;
use crate::home::genesis::Genesis;
use crate::home::validator_keys::own_key_if_any;
use crate::home::vrf_keys::VrfKeys;

/// Pause between two checks of CometBFT's validator.
const WATCH_PAUSE: Duration = Duration::from_secs(10);

/// The validator whose votes a node extends.
pub(super) struct Voting {
    /// Address of the validator; `None` for a node without one.
    address: Option<String>,
    /// Whether the node runs even if its votes do not count.
    without_key: bool,
}

/// Lets the application extend the votes of the home's validator, if the home has a consensus key.
///
/// # Errors
/// If the home lacks the validator's registered VRF key, so that its votes would not count, or if the
/// validator is unknown; unless `without_key` allows both.
pub(super) fn vote(app: App, home: &Home, without_key: bool) -> anyhow::Result<(App, Voting)> {
    let public_key = match own_key_if_any(home) {
        Err(error) if without_key => {
            tracing::error!("{error:#}");
            None
        }
        key => key?,
    };
    let address = public_key.as_deref().map(address_text);
    let voting = Voting {
        address,
        without_key,
    };
    match public_key {
        Some(key) => Ok((vote_as(app, home, key, without_key)?, voting)),
        None => Ok((app, voting)),
    }
}

fn vote_as(app: App, home: &Home, public_key: Vec<u8>, without_key: bool) -> anyhow::Result<App> {
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
                "the VRF keys in {} are not the validator's; --without-vrf-key starts the node anyway, \
                 for example to follow a change of the key",
                home.vrf_key().display()
            )
        })?,
    }
    Ok(app.voting_for(own))
}

impl Voting {
    /// Polls the validator for which CometBFT signs. Returns once it is another one with power, because
    /// its votes would not count.
    pub(super) async fn watch(self, rpc: Option<Client>) -> anyhow::Error {
        let Some(rpc) = rpc else {
            tracing::warn!(
                "config.toml has no address of CometBFT's RPC: poqd cannot check that CometBFT signs for \
                 the validator whose votes are extended here"
            );
            return std::future::pending().await;
        };
        let mut ticks = interval(WATCH_PAUSE);
        let mut told = false;
        loop {
            ticks.tick().await;
            // CometBFT may start later or stop; `supervise` handles that.
            let Ok(status) = rpc.status().await else {
                continue;
            };
            match self.check(&status) {
                Err(error) if !self.without_key => return error,
                Err(error) if !told => {
                    tracing::error!("{error:#}");
                    told = true;
                }
                Err(_) => {}
                Ok(()) => told = false,
            }
        }
    }

    fn check(&self, status: &Status) -> anyhow::Result<()> {
        let signing = &status.validator_address;
        if status.voting_power == 0 || self.address.as_ref() == Some(signing) {
            return Ok(());
        }
        let own = self.address.as_deref().unwrap_or("no validator");
        Err(anyhow!(
            "CometBFT signs for the validator {signing} of power {}, but this node extends the votes of \
             {own}: its votes do not count. Run `poqd config set app.validator-public-key {}` and put \
             that validator's VRF key into this home; --without-vrf-key runs the node anyway",
            status.voting_power,
            status.validator_public_key
        ))
    }
}

/// A consensus address as CometBFT writes it.
fn address_text(public_key: &[u8]) -> String {
    hex::encode_upper(consensus_address(public_key))
}

/// Checks the VRF key against the genesis, which is the state before the first block.
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
                "{} does not contain the VRF key {} that genesis.json has for this node's validator; \
                 restore the file, or put the node's key into the genesis",
                keys.path().display(),
                hex::encode(vrf_key)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cometbft_must_sign_for_the_validator_whose_votes_are_extended() {
        let status = |address: &str, voting_power: u64| Status {
            chain_id: "poq-local-1".into(),
            latest_height: 1,
            latest_block_time: String::new(),
            app_hash: String::new(),
            catching_up: false,
            node_id: String::new(),
            moniker: String::new(),
            version: String::new(),
            validator_address: address.into(),
            validator_public_key: "KEY".into(),
            voting_power,
        };
        let voting = |address: Option<&str>| Voting {
            address: address.map(str::to_owned),
            without_key: false,
        };
        voting(Some("AA")).check(&status("AA", 9)).unwrap();
        // A validator without power does not vote.
        voting(Some("AA")).check(&status("BB", 0)).unwrap();
        voting(None).check(&status("BB", 0)).unwrap();
        for own in [Some("AA"), None] {
            let error = voting(own).check(&status("BB", 9)).unwrap_err().to_string();
            assert!(
                error.contains("BB of power 9") && error.contains("validator-public-key KEY"),
                "{error}"
            );
        }
    }
}
