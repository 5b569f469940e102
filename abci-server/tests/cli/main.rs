//! Tests of the binary: its commands, its files, and a chain of one validator with a real CometBFT,
//! which must be in `$PATH` or in the cache.

mod bad_input;
mod export;
mod faucet;
mod genesis;
mod grpc;
mod history;
mod init;
mod keys;
mod multisig;
mod node;
mod receipts;
mod remote_signer;
mod sessions;
mod settings;
mod supervision;
mod support;
mod tx;
