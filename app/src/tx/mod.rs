//! The one way of a transaction through the house: bytes → [`decode`] → [`Unverified`] →
//! [`authenticate`](Unverified::authenticate) → [`Authenticated`] → [`execute`](Authenticated::execute).
//! What is not authenticated has another type and cannot be executed. Signatures of a block are
//! verified [`ahead`].

mod ahead;
mod amino;
mod authenticate;
mod decode;
mod fees;
mod messages;
mod signature;

pub(crate) use ahead::verify_ahead;
pub use authenticate::{Authenticated, Signatures};
pub(crate) use decode::strict;
pub use decode::{MAX_MEMO, MAX_SIGNERS, Unverified, decode};
pub use fees::{BYTE_GAS, SIGNATURE_GAS};
pub use messages::Message;
pub use signature::Verifier;
