//! Values that are Protocol Buffers messages or integers.

use prost::Message;

use super::state::State;
use crate::error::{Result, StoreError};

impl State {
    /// The message stored under `key`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the value does not decode.
    pub fn get_message<M: Message + Default>(&self, key: impl AsRef<[u8]>) -> Result<Option<M>> {
        let key = key.as_ref();
        self.read(key, |value| {
            value.map(|bytes| decode(key, bytes)).transpose()
        })?
    }

    /// Stores a message in its Protocol Buffers encoding.
    ///
    /// # Errors
    /// [`StoreError::EmptyValue`] for a message in which every field has its default.
    pub fn put_message<M: Message>(&mut self, key: impl AsRef<[u8]>, message: &M) -> Result<()> {
        self.put(key, message.encode_to_vec())
    }

    /// [`scan`](Self::scan) over messages.
    pub fn scan_messages<M: Message + Default>(
        &self,
        prefix: impl AsRef<[u8]>,
        start_after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, M)>> {
        self.scan(prefix, start_after, limit)?
            .into_iter()
            .map(|(key, bytes)| {
                let message = decode(&key, &bytes)?;
                Ok((key, message))
            })
            .collect()
    }

    /// The integer stored under `key`.
    pub fn get_u64(&self, key: impl AsRef<[u8]>) -> Result<Option<u64>> {
        self.get_bytes(key.as_ref())
            .map(|bytes| bytes.map(u64::from_be_bytes))
    }

    /// Stores an integer as 8 bytes, big-endian.
    pub fn put_u64(&mut self, key: impl AsRef<[u8]>, value: u64) -> Result<()> {
        self.put(key, value.to_be_bytes())
    }

    /// Subtracts one from the integer stored under `key`; none is stored for 0.
    pub fn count_down(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        match self.get_u64(&key)?.unwrap_or(0).saturating_sub(1) {
            0 => self.delete(key),
            rest => self.put_u64(key, rest),
        }
    }

    /// The integer stored under `key`.
    pub fn get_u128(&self, key: impl AsRef<[u8]>) -> Result<Option<u128>> {
        self.get_bytes(key.as_ref())
            .map(|bytes| bytes.map(u128::from_be_bytes))
    }

    /// Stores an integer as 16 bytes, big-endian.
    pub fn put_u128(&mut self, key: impl AsRef<[u8]>, value: u128) -> Result<()> {
        self.put(key, value.to_be_bytes())
    }

    fn get_bytes<const N: usize>(&self, key: &[u8]) -> Result<Option<[u8; N]>> {
        self.read(key, |value| {
            value
                .map(|bytes| {
                    bytes.try_into().map_err(|_| {
                        let reason = format!("{} bytes instead of {N}", bytes.len());
                        StoreError::corrupt(key, reason)
                    })
                })
                .transpose()
        })?
    }
}

fn decode<M: Message + Default>(key: &[u8], bytes: &[u8]) -> Result<M> {
    M::decode(bytes).map_err(|error| StoreError::corrupt(key, error))
}
