//! Vote extensions: the VRF output that a validator adds to its precommit.

use poq_proto::code;
use poq_store::State;

use super::{Verifier, has_extensions};
use crate::chain;
use crate::error::{Result, ensure, reject};
use crate::modules::validators::{self, effective_vrf_key};
use crate::vrf::{Input, Secrets};

/// A vote for a block with its extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedVote {
    /// Consensus address, 20 bytes.
    pub address: Vec<u8>,
    /// The vote extension. CometBFT does not verify those of late votes.
    pub extension: Vec<u8>,
}

/// The validator for which a node votes.
#[derive(Debug)]
pub struct OwnValidator {
    /// Consensus address, 20 bytes.
    pub address: Vec<u8>,
    /// The validator's VRF secrets.
    pub secrets: Secrets,
}

/// The own validator's vote extension for the block at `height`, computed on the state of the block
/// before.
pub(crate) fn extension(state: &State, height: u64, own: &OwnValidator) -> Result<Vec<u8>> {
    let key = key_of(state, height, &own.address)?;
    let Some(secret) = own.secrets.find(&key) else {
        reject!(
            code::NO_VRF_KEY,
            "the node has no secret for the VRF key {} of its validator; its votes do not count \
             until it has: restore the file of VRF keys, or set a key that the node has with \
             MsgSetVrfKey",
            hex::encode(&key)
        );
    };
    let chain_id = chain::id(state)?;
    let input = Input {
        chain_id: &chain_id,
        height,
        previous: chain::beacon(state)?,
        validator: &own.address,
    };
    Ok(secret.extension(&input).to_vec())
}

/// Checks that a vote extension is the validator's output for the block at `height`, on the state
/// of the block before.
pub(crate) fn verify_extension(
    state: &State,
    height: u64,
    vote: &ExtendedVote,
    verifier: &Verifier,
) -> Result<()> {
    ensure!(
        has_extensions(state, height)? && height == state.version().saturating_add(1),
        code::INVALID_VOTE_EXTENSION,
        "no vote extensions are due for height {height}"
    );
    let chain_id = chain::id(state)?;
    let input = Input {
        chain_id: &chain_id,
        height,
        previous: chain::beacon(state)?,
        validator: &vote.address,
    };
    output(state, &input, vote, verifier).map(|_| ())
}

/// The output in a vote extension.
pub(super) fn output(
    state: &State,
    input: &Input<'_>,
    vote: &ExtendedVote,
    verifier: &Verifier,
) -> Result<[u8; 32]> {
    let key = key_of(state, input.height, &vote.address)?;
    match verifier.verify(&key, input, &vote.extension) {
        Some(output) => Ok(output),
        None => reject!(
            code::INVALID_VOTE_EXTENSION,
            "the vote extension of validator {} is not the output of its VRF key {} for height {}",
            hex::encode(&vote.address),
            hex::encode(&key),
            input.height
        ),
    }
}

/// The VRF key that a validator's vote for the block at `height` needs.
fn key_of(state: &State, height: u64, address: &[u8]) -> Result<Vec<u8>> {
    let validator = validators::find_by_address(state, address)?;
    match validator
        .as_ref()
        .and_then(|validator| effective_vrf_key(validator, height))
    {
        Some(key) => Ok(key.to_vec()),
        None => reject!(
            code::NO_VRF_KEY,
            "validator {} has no VRF key at height {height}; it sets one with MsgSetVrfKey",
            hex::encode(address)
        ),
    }
}

/// Refuses a node whose validator has power, if the node has the secret neither for the VRF key
/// that its votes need now nor for the next one.
pub(crate) fn check_own_key(state: &State, own: &OwnValidator) -> Result<()> {
    if chain::vote_extensions_height(state)? == 0 {
        return Ok(());
    }
    match validators::find_by_address(state, &own.address)? {
        Some(validator) if validator.power > 0 => {
            if own.secrets.find(&validator.next_vrf_key).is_some() {
                return Ok(());
            }
            extension(state, state.version().saturating_add(1), own).map(|_| ())
        }
        _ => Ok(()),
    }
}
