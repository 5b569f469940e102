//! One file per message, with the message's name.

mod register_validator;
mod set_validator_power;
mod set_vrf_key;

pub use register_validator::register_validator;
pub use set_validator_power::set_validator_power;
pub use set_vrf_key::set_vrf_key;
