//! Receipts by their id.

use poq_proto::Leaf;
use rusqlite::{Connection, OptionalExtension, params};

use super::orders;

/// An answer's receipt as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    /// The session.
    pub session: u64,
    /// The answer's leaf.
    pub leaf: Leaf,
    /// The node's signature.
    pub signature: Vec<u8>,
    /// What the API key paid, base units.
    pub charged: u64,
    /// Row of the API key.
    pub key: i64,
}

/// The receipt of an answer.
pub(crate) fn find(
    db: &Connection,
    session: u64,
    number: u64,
) -> rusqlite::Result<Option<Receipt>> {
    db.prepare(
        "SELECT leaf, signature, charged, key FROM leaves WHERE session = ?1 AND number = ?2",
    )?
    .query_row(params![session, number], |row| {
        let leaf: Vec<u8> = row.get(0)?;
        Ok(Receipt {
            session,
            leaf: orders::leaf(&leaf)?,
            signature: row.get(1)?,
            charged: row.get(2)?,
            key: row.get(3)?,
        })
    })
    .optional()
}
