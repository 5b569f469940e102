//! A value of the state with its proof, and the signed header that commits to the state.

use serde::{Deserialize, Serialize};
use tendermint::block::signed_header::SignedHeader;
use tendermint::{Hash, PublicKey, validator, vote};
use tendermint_light_client_verifier::types::UntrustedBlockState;
use tendermint_light_client_verifier::{ProdVerifier, Verdict};

use crate::proof::{self, Proven};

/// A value of the state at one height, and the header of the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedState {
    /// The value: an encoded record.
    #[serde(with = "hex")]
    pub record: Vec<u8>,
    /// An encoded `ics23.CommitmentProof` of the value.
    #[serde(with = "hex")]
    pub proof: Vec<u8>,
    /// The header whose `app_hash` is that of the state, and the commit of its validators.
    pub signed_header: SignedHeader,
    /// The validators of the header's height.
    pub validators: Vec<Validator>,
}

/// What a validator set's hash has of a validator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// The consensus key.
    pub pub_key: PublicKey,
    /// The voting power.
    #[serde(deserialize_with = "crate::json::integer")]
    pub power: u64,
}

impl SignedState {
    /// Height of the header.
    pub fn header_height(&self) -> u64 {
        self.signed_header.header.height.value()
    }

    /// Height of the state that the record is in.
    pub fn height(&self) -> u64 {
        self.header_height().saturating_sub(1)
    }

    /// Hash of the header.
    pub fn header_hash(&self) -> Hash {
        self.signed_header.header.hash()
    }

    /// Hash of the validator set that the header names.
    pub fn validators_hash(&self) -> Hash {
        self.signed_header.header.validators_hash
    }

    /// Checks that the validators are those that the header names, and that more than two thirds of
    /// their power signed the header.
    pub(super) fn check_commit(&self) -> Result<(), String> {
        let validators = self.validator_set()?;
        let state = UntrustedBlockState {
            signed_header: &self.signed_header,
            validators: &validators,
            next_validators: None,
        };
        let verifier = ProdVerifier::default();
        for verdict in [
            verifier.verify_validator_sets(&state),
            verifier.verify_commit(&state),
        ] {
            match verdict {
                Verdict::Success => {}
                Verdict::NotEnoughTrust(tally) => {
                    return Err(format!("too little power signed it: {tally}"));
                }
                Verdict::Invalid(reason) => return Err(reason.to_string()),
            }
        }
        Ok(())
    }

    /// Checks that the record is the value of the key in the state.
    pub(super) fn check_record(&self, key: &str) -> Result<(), proof::Error> {
        let proven = Proven {
            key: key.into(),
            value: Some(self.record.clone()),
            height: self.height(),
            proof: self.proof.clone(),
        };
        proven.verify(self.signed_header.header.app_hash.as_bytes())
    }

    fn validator_set(&self) -> Result<validator::Set, String> {
        let powers = self.validators.iter().map(|validator| validator.power);
        // The set's constructor panics above the limit.
        if powers.fold(0, u64::saturating_add) > validator::Set::MAX_TOTAL_VOTING_POWER {
            return Err("the validators have more power than a chain can have".into());
        }
        let info = |validator: &Validator| {
            let power = vote::Power::try_from(validator.power)?;
            Ok(validator::Info::new(validator.pub_key, power))
        };
        let infos: Result<Vec<_>, tendermint::Error> = self.validators.iter().map(info).collect();
        let infos = infos.map_err(|error| error.to_string())?;
        Ok(validator::Set::without_proposer(infos))
    }
}
