//! One file per message, with the message's name.

mod register_evaluator;
mod register_inference_node;
mod unjail;
mod update_node;

pub use register_evaluator::register_evaluator;
pub use register_inference_node::register_inference_node;
pub use unjail::unjail;
pub use update_node::update_node;
