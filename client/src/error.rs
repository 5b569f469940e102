use std::path::{Path, PathBuf};
use std::time::Duration;

use poq_proto::code::{self, Code};

use crate::{TxHash, keyring, proof};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong between this program and the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of a node cannot be used.
    #[error(
        "`{url}` is not the address of a node's RPC: {reason}; expected for example http://127.0.0.1:26657"
    )]
    Url {
        /// As it was given.
        url: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// No answer: connection refused, reset or timed out.
    #[error(
        "no answer from the node at {url}: {reason}; check that the node runs and that its address is right"
    )]
    Unreachable {
        /// The node's address.
        url: String,
        /// From the HTTP client.
        reason: String,
    },
    /// The node answered with an error of its own.
    #[error("the node at {url} refused {method}: {reason}")]
    Rpc {
        /// The node's address.
        url: String,
        /// The RPC method.
        method: &'static str,
        /// From the node.
        reason: String,
    },
    /// The node's answer has not the expected form.
    #[error(
        "cannot understand the node's answer to {what}: {reason}; check that the node and this program have the same version"
    )]
    Decode {
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The application refused a query.
    #[error("query {path} failed: {log} ({codespace} code {code})")]
    Query {
        /// The gRPC path.
        path: String,
        /// Never 0.
        code: u32,
        /// `sdk` or `poq`.
        codespace: String,
        /// From the application.
        log: String,
    },
    /// The application refused a transaction, before or in a block.
    #[error("transaction {hash} failed: {log} ({codespace} code {code})")]
    Tx {
        /// Never 0.
        code: u32,
        /// `sdk` or `poq`.
        codespace: String,
        /// From the application.
        log: String,
        /// The refused transaction.
        hash: TxHash,
    },
    /// The node's mempool takes no more transactions.
    #[error(
        "the mempool of the node at {url} is full: {reason}; try again later or with another node"
    )]
    MempoolFull {
        /// The node's address.
        url: String,
        /// From the node.
        reason: String,
    },
    /// A transaction was accepted but is in no block yet. It may still be included.
    #[error(
        "transaction {hash} is in no block after {timeout:?}; it may still be included: query it before sending it again"
    )]
    NotIncluded {
        /// The awaited transaction.
        hash: TxHash,
        /// How long it was awaited.
        timeout: Duration,
    },
    /// A transaction was accepted but is in no block of those that could have it. It may be lost.
    #[error(
        "transaction {hash} is in no block up to {height}; it may be lost: look whether it is still wanted before sending it again"
    )]
    NotInBlocks {
        /// The awaited transaction.
        hash: TxHash,
        /// The newest height that was looked at.
        height: u64,
    },
    /// The node is on another chain.
    #[error(
        "the node at {url} is on the chain `{actual}`, but `{expected}` was expected; check --node and --chain-id or config.toml"
    )]
    ChainId {
        /// The node's address.
        url: String,
        /// As configured.
        expected: String,
        /// As the node says.
        actual: String,
    },
    /// The signer has no account on the chain yet.
    #[error("the account {address} does not exist on the chain; send it some coins first")]
    NoAccount {
        /// The signer.
        address: String,
    },
    /// A search expression, a height or the like that no node would understand.
    #[error("invalid query: {0}")]
    InvalidQuery(String),
    /// A transaction cannot be built from what was given.
    #[error("cannot build the transaction: {0}")]
    InvalidTx(String),
    /// Not a usable account address.
    #[error("`{address}` is not an account address: {reason}")]
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a usable mnemonic.
    #[error(
        "the mnemonic is not valid: expected 12, 15, 18, 21 or 24 English BIP-39 words with a right checksum, separated by spaces"
    )]
    Mnemonic,
    /// A key cannot be derived or used.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// Keys on disk.
    #[error(transparent)]
    Keyring(#[from] keyring::Error),
    /// A Merkle proof.
    #[error(transparent)]
    Proof(#[from] proof::Error),
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// "read", "write", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
    /// A file has not the expected content.
    #[error("{path} is not valid: {reason}", path = path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl Error {
    /// Whether the same call can succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Rpc { .. }
            | Self::MempoolFull { .. }
            | Self::NotIncluded { .. }
            | Self::NotInBlocks { .. } => true,
            Self::Tx { .. } => self.is(code::WRONG_SEQUENCE) || self.is(code::MEMPOOL_FULL),
            _ => false,
        }
    }

    /// Whether the node keeps no index of transactions that can be asked: what CometBFT says with
    /// `indexer = "null"`, and with `"psql"`, which can only be written to.
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
        matches!(self, Self::Query { .. })
            && [
                code::NOT_FOUND,
                code::UNKNOWN_ADDRESS,
                code::UNKNOWN_TASK,
                code::UNKNOWN_MODEL,
                code::UNKNOWN_EVALUATOR_MODEL,
                code::NOT_REGISTERED,
            ]
            .into_iter()
            .any(|code| self.is(code))
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

    /// A failure to do something with a file: "read", "write" ...
    pub fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Turns `None` for "not found" and passes every other error on.
pub fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
