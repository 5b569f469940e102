//! The binary itself: its commands, its files, and a chain of one validator with real CometBFT,
//! which must be in `$PATH` or in the cache.

mod history;
mod init;
mod keys;
mod node;
mod supervision;
mod support;
