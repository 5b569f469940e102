//! One file for each message, named like it.

mod enable_vote_extensions;

pub use enable_vote_extensions::enable_vote_extensions;
