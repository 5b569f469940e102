//! Decoding that accepts only the canonical encoding.

use poq_proto::code;

use crate::error::{Result, ensure, reject};

/// Decodes a message and refuses bytes that are not its canonical encoding.
pub(crate) fn strict<M: prost::Message + Default>(bytes: &[u8], what: &str) -> Result<M> {
    let message = match M::decode(bytes) {
        Ok(message) => message,
        Err(error) => reject!(code::TX_DECODE, "{what} does not decode: {error}"),
    };
    ensure!(
        message.encoded_len() == bytes.len() && message.encode_to_vec() == bytes,
        code::TX_DECODE,
        "{what} is not canonical: it has unknown, duplicate, default or unordered fields"
    );
    Ok(message)
}
