//! One file per message, with the message's name.

mod update_params;

pub use update_params::update_params;
