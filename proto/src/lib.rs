//! Wire types of the Proof of Quality chain, its result codes and event names, and the digests that
//! parties commit to and sign.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod calibration;
mod chat;
pub mod code;
mod commitment;
pub mod event;
mod leaf;
pub mod merkle;
mod multisig;
mod sampling;
mod signed;
mod terms;
mod voucher;

pub use calibration::calibrate;
pub use chat::{MAX_CHAT_MESSAGES, MAX_STOP_BYTES, MAX_STOP_TEXTS};
pub use commitment::{SCORE_COMMITMENT_DOMAIN, commitment};
pub use leaf::Leaf;
pub use multisig::{MAX_MULTISIG_KEYS, amino_multisig_key};
pub use signed::Call;
pub use voucher::{Voucher, WrongLength};

/// Types generated from `proto/poq/v1`.
///
/// The JSON form is proto3 JSON with snake_case names: 64-bit integers are strings, bytes are
/// base64, enums are their names.
pub mod v1 {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/poq.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/poq.v1.serde.rs"));
}

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

/// One, in parts per million.
pub const PPM: u64 = 1_000_000;

/// The encoded `FileDescriptorSet` of `poq.v1`, for strict decoding and reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/poq.v1.descriptors.bin"));
