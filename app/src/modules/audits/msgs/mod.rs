//! One file for each message, named like it.

mod challenge;

pub use challenge::challenge;
