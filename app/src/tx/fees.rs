use poq_proto::PPM;
use poq_proto::code;
use poq_proto::v1::Params;
use poq_store::State;

use super::decode::Unverified;
use super::sign_mode::signatures;
use crate::address::{Address, PROTOCOL_ACCOUNT};
use crate::coin::parse_coins;
use crate::error::{Error, Result, ensure};
use crate::modules::bank;
use crate::modules::params::limits::{BYTE_GAS, SIGNATURE_GAS};

/// The highest gas limit of a transaction, so that no arithmetic on it overflows.
const MAX_GAS: u64 = 1 << 40;

impl Unverified {
    /// The gas that the transaction needs: a pure function of its content, so an estimate is exact.
    pub fn gas_needed(&self) -> u64 {
        let bytes = BYTE_GAS.saturating_mul(self.bytes);
        let signatures = SIGNATURE_GAS.saturating_mul(self.signatures());
        self.messages
            .iter()
            .map(super::Message::gas)
            .fold(bytes.saturating_add(signatures), u64::saturating_add)
    }

    /// The number of signatures: at least one per signer, and all of a multisignature.
    fn signatures(&self) -> u64 {
        let infos = self.auth_info.signer_infos.iter();
        let more = infos
            .map(|info| signatures(info).saturating_sub(1))
            .sum::<u64>();
        more.saturating_add(self.signers.len() as u64)
    }

    /// The gas limit that the sender set.
    pub fn gas_limit(&self) -> u64 {
        self.auth_info.fee.as_ref().map_or(0, |fee| fee.gas_limit)
    }

    /// Whether the transaction has only duty messages, which cost no fee.
    pub fn is_free(&self) -> bool {
        self.messages.iter().all(super::Message::is_duty)
    }

    /// Checks the gas limit and the fee, and returns the fee, base units.
    pub(super) fn check_fee(&self, params: &Params) -> Result<u128> {
        if self.is_free() {
            return self.offered_fee(params);
        }
        let (limit, needed) = (self.gas_limit(), self.gas_needed());
        ensure!(
            limit >= needed,
            code::OUT_OF_GAS,
            "out of gas; gasWanted: {limit}, gasUsed: {needed}: raise the gas limit"
        );
        ensure!(
            limit <= MAX_GAS,
            code::OUT_OF_GAS,
            "the gas limit is at most {MAX_GAS}, got {limit}"
        );
        let required = u128::from(limit)
            .saturating_mul(params.gas_price.into())
            .div_ceil(PPM.into());
        let offered = self.offered_fee(params)?;
        let denom = &params.denom;
        ensure!(
            offered >= required,
            code::INSUFFICIENT_FEE,
            "insufficient fees; got: {offered}{denom} required: {required}{denom}"
        );
        Ok(offered)
    }

    fn offered_fee(&self, params: &Params) -> Result<u128> {
        let Some(fee) = self.auth_info.fee.as_ref() else {
            return Ok(0);
        };
        let first_signer = self.signers.first().map_or("", Address::as_str);
        ensure!(
            fee.granter.is_empty() && (fee.payer.is_empty() || fee.payer == first_signer),
            code::UNAUTHORIZED,
            "fees are paid by the first signer"
        );
        // As in the Cosmos SDK, a coin with amount 0 is ignored.
        let amount = fee.amount.iter().filter(|coin| coin.amount != "0");
        let amount: Vec<_> = amount.cloned().collect();
        if amount.is_empty() {
            return Ok(0);
        }
        let coins = parse_coins(&amount)?;
        ensure!(
            coins.iter().all(|(denom, _)| *denom == params.denom),
            code::INVALID_COINS,
            "fees are paid in {}",
            params.denom
        );
        Ok(coins.iter().map(|(_, amount)| *amount).sum())
    }

    /// Takes the fee from the first signer.
    pub(super) fn pay_fee(&self, state: &mut State, params: &Params, fee: u128) -> Result<()> {
        if fee == 0 {
            return Ok(());
        }
        let payer = self
            .signers
            .first()
            .ok_or_else(|| Error::broken("a transaction without signers was decoded"))?;
        let protocol = Address::of_module(PROTOCOL_ACCOUNT, &params.bech32_prefix)?;
        bank::transfer(state, payer, &protocol, &params.denom, fee)
    }
}
