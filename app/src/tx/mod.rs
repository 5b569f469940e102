//! The one way of a transaction through the house: bytes → [`decode`] → [`Unverified`] →
//! [`authenticate`](Unverified::authenticate) → [`Authenticated`] → [`execute`](Authenticated::execute).
//! What is not authenticated has another type and cannot be executed.

mod amino;
mod authenticate;
mod decode;
mod fees;
mod messages;
mod signature;

pub use authenticate::{Authenticated, Signatures};
pub(crate) use decode::strict;
pub use decode::{MAX_MEMO, MAX_SIGNERS, Unverified, decode};
pub use fees::{BYTE_GAS, SIGNATURE_GAS};
pub use messages::Message;
pub use signature::Verifier;
