//! The one way of a transaction through the house: bytes → [`decode`] → [`Unverified`] →
//! [`authenticate`](Unverified::authenticate) → [`Authenticated`] → [`execute`](Authenticated::execute).
//! What is not authenticated has another type and cannot be executed.

mod authenticate;
mod decode;
mod fees;
mod messages;

pub use authenticate::{Authenticated, Signatures};
pub use decode::{Unverified, decode};
pub use messages::Message;
