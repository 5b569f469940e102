//! One file per message, with the message's name.

mod enable_vote_extensions;

pub use enable_vote_extensions::enable_vote_extensions;
