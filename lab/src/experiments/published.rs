//! Published results on Proof of Quality, repeated on the production state machine.

pub mod aggregation;
pub mod costs;
pub mod earnings;
