//! Whom a session owes what: the account of its orders and answers, and the check of receipts.

mod book;
mod receipt;
#[cfg(test)]
mod tests;

pub(crate) use book::{Book, Fault, Limits, NoRoom, Ordered, Resolved};
pub(crate) use receipt::{Ending, Unproven, verify};
