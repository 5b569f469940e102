//! VRF outputs of validators' votes advance the beacon (protocol section 6).

mod bad_input;
mod enabling;
mod influence;
mod keys;
mod network;
mod requirements;
#[path = "../support/mod.rs"]
mod support;
