//! The sign mode that a signer declares.

use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{ModeInfo, SignerInfo, mode_info};
use poq_proto::code;

use crate::error::{Result, ensure, reject};

/// The form of the signed document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Direct,
    Amino,
}

/// One signature, or those of several keys, which sign amino JSON.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signing<'a> {
    Single(Mode),
    Multi(&'a mode_info::Multi),
}

/// How a signer of a transaction has signed.
pub(super) fn signing(info: &SignerInfo) -> Result<Signing<'_>> {
    match info.mode_info.as_ref().and_then(|mode| mode.sum.as_ref()) {
        Some(mode_info::Sum::Single(single)) => mode(single).map(Signing::Single),
        Some(mode_info::Sum::Multi(multi)) => Ok(Signing::Multi(multi)),
        None => reject!(code::UNAUTHORIZED, "the signer's sign mode is missing"),
    }
}

/// Refuses a part of a multisignature that is not one key's signature over amino JSON. The protobuf
/// document contains the other signers' information, so nobody could sign first.
pub(super) fn require_amino(info: &ModeInfo) -> Result<()> {
    let amino = match &info.sum {
        Some(mode_info::Sum::Single(single)) => mode(single)? == Mode::Amino,
        Some(mode_info::Sum::Multi(_)) | None => false,
    };
    ensure!(
        amino,
        code::UNAUTHORIZED,
        "the keys of a multisignature sign in SIGN_MODE_LEGACY_AMINO_JSON, each by itself"
    );
    Ok(())
}

/// The number of a signer's signatures, each of which costs gas.
pub(super) fn signatures(info: &SignerInfo) -> u64 {
    match info.mode_info.as_ref().and_then(|mode| mode.sum.as_ref()) {
        Some(mode_info::Sum::Multi(multi)) => (multi.mode_infos.len() as u64).max(1),
        _ => 1,
    }
}

fn mode(single: &mode_info::Single) -> Result<Mode> {
    match SignMode::try_from(single.mode) {
        Ok(SignMode::Direct) => Ok(Mode::Direct),
        Ok(SignMode::LegacyAminoJson) => Ok(Mode::Amino),
        other => reject!(
            code::UNAUTHORIZED,
            "{} is not supported: sign in SIGN_MODE_DIRECT or SIGN_MODE_LEGACY_AMINO_JSON",
            other.map_or("this sign mode", |mode| mode.as_str_name())
        ),
    }
}
