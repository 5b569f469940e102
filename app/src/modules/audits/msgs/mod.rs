//! One file per message, with the message's name.

mod challenge;

pub use challenge::challenge;
