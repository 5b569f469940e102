//! One file per message, with the message's name.

mod close_sessions;
mod open_sessions;
mod reveal_leaves;
mod settle_sessions;

pub use close_sessions::close_sessions;
pub use open_sessions::open_sessions;
pub use reveal_leaves::reveal_leaves;
pub use settle_sessions::settle_sessions;
