//! One file for each message, named like it.

mod update_params;

pub use update_params::update_params;
