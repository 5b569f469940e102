//! One file per message, with the message's name.

mod set_evaluator_model;
mod set_model;

pub use set_evaluator_model::set_evaluator_model;
pub use set_model::set_model;

use poq_proto::code;

use crate::error::Error;

fn missing() -> Error {
    Error::rejected(code::INVALID_REQUEST, "the message has no model")
}
