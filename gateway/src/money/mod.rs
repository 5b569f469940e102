//! Whom a session owes what: the account of its orders and answers, the check of receipts, and what of a
//! price comes back.

mod book;
mod receipt;
mod refund;
#[cfg(test)]
mod tests;

pub(crate) use book::{Book, Fault, Limits, NoRoom, Ordered, Resolved};
pub(crate) use receipt::{Ending, Unproven, verify};
pub(crate) use refund::given_back;
