//! Fixed limits and gas prices: changing one changes consensus.

/// The longest memo, bytes.
pub const MAX_MEMO: usize = 256;
/// The most signers of a transaction.
pub const MAX_SIGNERS: usize = 8;
/// Gas of one byte of a transaction.
pub const BYTE_GAS: u64 = 10;
/// Gas of one signature.
pub const SIGNATURE_GAS: u64 = 10_000;
/// The least `max_answer_bytes` of a task: room for a short answer in any script, so that no limit
/// cuts an answer to nothing.
pub const MIN_ANSWER_BYTES: u32 = 64;
