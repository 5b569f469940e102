//! The path of a transaction: bytes → [`decode()`] → [`Unverified`] →
//! [`authenticate`](Unverified::authenticate) → [`Authenticated`] →
//! [`execute`](Authenticated::execute). An unauthenticated transaction has another type and cannot
//! be executed. The transactions of a block are decoded, and their signatures verified, ahead of
//! their turn (`ahead.rs`).

mod ahead;
mod amino;
mod authenticate;
mod decode;
mod fees;
mod messages;
mod public_key;
mod sign_mode;
mod signature;
mod strict;

pub(crate) use ahead::in_turn;
pub use amino::amino_document;
pub use authenticate::{Authenticated, Signatures};
pub use decode::{Unverified, decode};
pub use messages::Message;
pub use signature::Verifier;
