//! Limits and prices that are fixed: changing one changes consensus.

/// Bytes of a memo.
pub const MAX_MEMO: usize = 256;
/// Signers of one transaction.
pub const MAX_SIGNERS: usize = 8;
/// Gas of one byte of a transaction.
pub const BYTE_GAS: u64 = 10;
/// Gas of one signature.
pub const SIGNATURE_GAS: u64 = 10_000;
/// Least `max_answer_bytes` of a task: room for a short answer in any script, so that no limit cuts an
/// answer to nothing.
pub const MIN_ANSWER_BYTES: u32 = 64;
