//! Which answer a repeated request gets.

use rusqlite::{Connection, OptionalExtension, params};

use super::now;

/// What a request can be recognised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// SHA-256 of the client's idempotency key, or of the body, with its kind.
    pub digest: [u8; 32],
    /// SHA-256 of the body.
    pub body: [u8; 32],
}

/// An earlier request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Earlier {
    /// SHA-256 of its body.
    pub body: [u8; 32],
    /// The session and number that answered it.
    pub order: (u64, u64),
    /// When it was ordered, seconds since 1970.
    pub created: u64,
}

/// Stores that an order answers a request; a later order replaces the earlier one.
pub(crate) fn put(
    db: &Connection,
    key: i64,
    token: &Token,
    (session, number): (u64, u64),
) -> rusqlite::Result<()> {
    db.prepare("INSERT OR REPLACE INTO duplicates VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            key,
            token.digest,
            token.body,
            session,
            number,
            now()
        ])?;
    Ok(())
}

/// Forgets a request that was not accepted, so that its repetition is a new one.
pub(crate) fn forget(
    db: &Connection,
    key: i64,
    digest: [u8; 32],
    (session, number): (u64, u64),
) -> rusqlite::Result<()> {
    db.prepare(
        "DELETE FROM duplicates WHERE key = ?1 AND token = ?2 AND session = ?3 AND number = ?4",
    )?
    .execute(params![key, digest, session, number])?;
    Ok(())
}

/// The earlier request with a token.
pub(crate) fn find(
    db: &Connection,
    key: i64,
    digest: [u8; 32],
) -> rusqlite::Result<Option<Earlier>> {
    db.prepare(
        "SELECT body, session, number, created FROM duplicates WHERE key = ?1 AND token = ?2",
    )?
    .query_row(params![key, digest], |row| {
        Ok(Earlier {
            body: row.get(0)?,
            order: (row.get(1)?, row.get(2)?),
            created: row.get(3)?,
        })
    })
    .optional()
}
