//! `poqd vrf-key`: the keys of the outputs that a validator's votes carry for the beacon.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use super::tx::poq::{PublicKey, own_key};
use crate::home::Home;
use crate::output::Format;
use crate::vrf::VrfKeys;

/// Commands of `vrf-key`.
#[derive(Debug, clap::Args)]
pub struct VrfKey {
    /// How the result is printed.
    #[arg(long, short = 'o', global = true, value_enum)]
    pub output: Option<Format>,
    #[command(subcommand)]
    command: VrfKeyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum VrfKeyCommand {
    /// Print the public keys of this home, oldest first.
    Show,
    /// Make another key. Restart the node, then have `poqd tx poq set-vrf-key` register it; the
    /// node uses each key when it is due.
    Add,
}

#[derive(Serialize)]
struct Summary<'a> {
    path: &'a Path,
    public_keys: Vec<String>,
}

impl VrfKey {
    /// Shows or adds keys.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn run(self, home: &Home) -> anyhow::Result<()> {
        let mut keys = VrfKeys::read(home.vrf_key())?;
        if matches!(self.command, VrfKeyCommand::Add) {
            keys.add()?;
        }
        let public_keys = keys.public_keys();
        self.output.unwrap_or_default().print(&Summary {
            path: keys.path(),
            public_keys: public_keys.iter().map(|key| BASE64.encode(key)).collect(),
        })?;
        Ok(())
    }
}

/// Bytes of a VRF key. A `Vec` of its own would be a list of values to clap.
#[derive(Clone, Debug)]
pub(super) struct VrfPublicKey(Vec<u8>);

pub(super) fn vrf_public_key(text: &str) -> Result<VrfPublicKey, String> {
    let key = BASE64.decode(text).map_err(|error| error.to_string())?;
    poq_app::beacon::check_key(&key).map_err(|error| error.to_string())?;
    Ok(VrfPublicKey(key))
}

/// The given key, or the newest one of this home.
pub(super) fn chosen_key(given: Option<VrfPublicKey>, home: &Home) -> anyhow::Result<Vec<u8>> {
    if let Some(VrfPublicKey(key)) = given {
        return Ok(key);
    }
    let keys = VrfKeys::read(home.vrf_key())?;
    match keys.public_keys().last() {
        Some(key) => Ok(key.to_vec()),
        None => anyhow::bail!(
            "{} has no VRF key; choose the node's --home, make one with `poqd vrf-key add`, or give \
             --vrf-key",
            keys.path().display()
        ),
    }
}

/// The keys of consensus and for the beacon of a validator: those given, or those of this home. A
/// validator that is not this home's need not have one for the beacon yet.
pub(super) fn validator_keys(
    public_key: Option<PublicKey>,
    vrf_key: Option<VrfPublicKey>,
    home: &Home,
) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    match (public_key, vrf_key) {
        (Some(PublicKey(key)), Some(VrfPublicKey(vrf_key))) => Ok((key, vrf_key)),
        (Some(PublicKey(key)), None) => Ok((key, Vec::new())),
        (None, vrf_key) => Ok((own_key(home)?, chosen_key(vrf_key, home)?)),
    }
}
