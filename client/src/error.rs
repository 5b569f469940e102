use std::path::{Path, PathBuf};
use std::time::Duration;

use poq_proto::code::{self, Code};

use crate::{TxHash, keyring, proof};

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors between this program and the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of a node is not usable.
    #[error(
        "`{url}` is not the address of a node's RPC: {reason}; expected for example http://127.0.0.1:26657"
    )]
    Url {
        /// The address as given.
        url: String,
        /// Why it is not usable.
        reason: String,
    },
    /// No answer: connection refused, reset or timed out.
    #[error(
        "no answer from the node at {url}: {reason}; check that the node runs and that its address is right"
    )]
    Unreachable {
        /// The node's address.
        url: String,
        /// The HTTP client's error.
        reason: String,
    },
    /// The node answered with an error of its own.
    #[error("the node at {url} refused {method}: {reason}")]
    Rpc {
        /// The node's address.
        url: String,
        /// The RPC method.
        method: &'static str,
        /// The node's error.
        reason: String,
    },
    /// The node's answer does not have the expected form.
    #[error(
        "cannot understand the node's answer to {what}: {reason}; check that the node and this program have the same version"
    )]
    Decode {
        /// The request.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The application refused a query.
    #[error("query {path} failed: {log} ({codespace} code {code})")]
    Query {
        /// The gRPC path.
        path: String,
        /// The error code, never 0.
        code: u32,
        /// `sdk` or `poq`.
        codespace: String,
        /// The application's message.
        log: String,
    },
    /// The application refused a transaction, before or in a block.
    #[error("transaction {hash} failed: {log} ({codespace} code {code})")]
    Tx {
        /// The error code, never 0.
        code: u32,
        /// `sdk` or `poq`.
        codespace: String,
        /// The application's message.
        log: String,
        /// The refused transaction.
        hash: TxHash,
    },
    /// The node's mempool is full.
    #[error(
        "the mempool of the node at {url} is full: {reason}; try again later or with another node"
    )]
    MempoolFull {
        /// The node's address.
        url: String,
        /// The node's message.
        reason: String,
    },
    /// A transaction was accepted but is in no block yet. It may still be included.
    #[error(
        "transaction {hash} is in no block after {timeout:?}; it may still be included: query it before sending it again"
    )]
    NotIncluded {
        /// The hash of the transaction.
        hash: TxHash,
        /// How long the client waited.
        timeout: Duration,
    },
    /// A transaction was accepted but is in none of the blocks that could include it. It may be
    /// lost.
    #[error(
        "transaction {hash} is in no block up to {height}; it may be lost: check whether it is still needed before sending it again"
    )]
    NotInBlocks {
        /// The hash of the transaction.
        hash: TxHash,
        /// The newest height that was checked.
        height: u64,
    },
    /// The node is on another chain.
    #[error(
        "the node at {url} is on the chain `{actual}`, but `{expected}` was expected; check --node and --chain-id or config.toml"
    )]
    ChainId {
        /// The node's address.
        url: String,
        /// The configured chain id.
        expected: String,
        /// The node's chain id.
        actual: String,
    },
    /// The signer has no account on the chain yet.
    #[error("the account {address} does not exist on the chain; send it some coins first")]
    NoAccount {
        /// The signer.
        address: String,
    },
    /// A search expression, height or the like that no node would accept.
    #[error("invalid query: {0}")]
    InvalidQuery(String),
    /// A transaction cannot be built from the input.
    #[error("cannot build the transaction: {0}")]
    InvalidTx(String),
    /// The text is not a valid account address.
    #[error("`{address}` is not an account address: {reason}")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The mnemonic is not valid.
    #[error(
        "the mnemonic is not valid: expected 12, 15, 18, 21 or 24 English BIP-39 words with a valid checksum, separated by spaces"
    )]
    Mnemonic,
    /// A key cannot be derived or used.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// Keyring errors.
    #[error(transparent)]
    Keyring(#[from] keyring::Error),
    /// Merkle proof errors.
    #[error(transparent)]
    Proof(#[from] proof::Error),
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// "read", "write", ...
        action: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file does not have the expected content.
    #[error("{path} is not valid: {reason}", path = path.display())]
    InvalidFile {
        /// The file's path.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl Error {
    /// Whether a later retry of the same call can succeed without intervention.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Rpc { .. }
            | Self::MempoolFull { .. }
            | Self::NotIncluded { .. }
            | Self::NotInBlocks { .. } => true,
            Self::Query { .. } => self.is(code::NO_BLOCK),
            Self::Tx { .. } => self.is(code::WRONG_SEQUENCE) || self.is(code::MEMPOOL_FULL),
            _ => false,
        }
    }

    /// Whether the node has no transaction index to query: CometBFT answers so with `indexer =
    /// "null"`, and with `"psql"`, which is write-only.
    pub fn is_without_index(&self) -> bool {
        let reasons = [
            "transaction indexing is disabled",
            "TxIndexer.Get method is not supported",
            "TxIndexer.Search method is not supported",
        ];
        let is_one = |reason: &str| reasons.iter().any(|text| reason.contains(text));
        matches!(self, Self::Rpc { reason, .. } if is_one(reason))
    }

    /// Whether a query found nothing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Query { .. }) && code::ABSENT.iter().any(|code| self.is(*code))
    }

    /// Whether the application refused a query or a transaction with this code.
    pub fn is(&self, expected: Code) -> bool {
        match self {
            Self::Query {
                code, codespace, ..
            }
            | Self::Tx {
                code, codespace, ..
            } => *code == expected.number && codespace == expected.codespace,
            _ => false,
        }
    }

    /// An error of a file operation; `action` is "read", "write" and so on.
    pub fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Turns a "not found" error into `None` and passes on every other error.
pub fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
