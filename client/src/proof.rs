//! Checking what a node says about the state against an application hash.

/// Why a proof does not prove.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The answer carries no proof of the expected form.
    #[error("the answer carries no usable proof: {0}")]
    Malformed(String),
    /// The proof belongs to another key, value or state.
    #[error(
        "the proof does not lead from this key and value to the application hash {app_hash}; the node lies, or the hash is of another height"
    )]
    Mismatch {
        /// The trusted hash, hex.
        app_hash: String,
    },
}

/// A key of the application's state, what it holds, and the proof of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// The raw key.
    pub key: Vec<u8>,
    /// `None`: the key is not in the state.
    pub value: Option<Vec<u8>>,
    /// The state after the block at this height; the header of the next block has its hash.
    pub height: u64,
    /// An encoded `ics23.CommitmentProof`.
    pub proof: Vec<u8>,
}

impl Proven {
    /// Checks the proof against a trusted application hash.
    pub fn verify(&self, app_hash: &[u8]) -> Result<(), Error> {
        let _ = app_hash;
        todo!()
    }
}

impl crate::Client {
    /// Reads a raw key of the state with its proof, at `height` or in the newest state. The
    /// proof is not checked yet: see [`Proven::verify`].
    pub async fn proven(&self, key: &[u8], height: Option<u64>) -> crate::Result<Proven> {
        let _ = (key, height);
        todo!()
    }
}
