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
    /// The quality by the gateway's own score, ppm.
    pub estimate: Option<u32>,
}

/// Notes the quality of an answer by the gateway's own score, ppm.
pub(crate) fn estimate(
    db: &Connection,
    (session, number): (u64, u64),
    quality: u32,
) -> rusqlite::Result<()> {
    db.prepare("UPDATE leaves SET estimate = ?3 WHERE session = ?1 AND number = ?2")?
        .execute(params![session, number, quality])?;
    Ok(())
}

/// The receipt of an answer.
pub(crate) fn find(
    db: &Connection,
    session: u64,
    number: u64,
) -> rusqlite::Result<Option<Receipt>> {
    db.prepare(
        "SELECT leaf, signature, charged, key, estimate FROM leaves WHERE session = ?1 AND number = ?2",
    )?
    .query_row(params![session, number], |row| {
        let leaf: Vec<u8> = row.get(0)?;
        Ok(Receipt {
            session,
            leaf: orders::leaf(&leaf)?,
            signature: row.get(1)?,
            charged: row.get(2)?,
            key: row.get(3)?,
            estimate: row.get(4)?,
        })
    })
    .optional()
}
