//! API keys.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::now;

/// An API key without its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    /// Row.
    pub id: i64,
    /// First characters, to recognise it by.
    pub prefix: String,
    /// The operator's name for it.
    pub name: String,
    /// Row of its group; None if nobody prepays.
    pub group: Option<i64>,
    /// Models that it may use; None allows all.
    pub models: Option<Vec<String>>,
    /// Limits.
    pub limits: Limits,
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970.
    pub expires: Option<u64>,
    /// Seconds since 1970.
    pub revoked: Option<u64>,
}

/// Limits of a key; None has no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Requests a minute.
    pub requests_per_minute: Option<u32>,
    /// Answers at once.
    pub streams: Option<u32>,
    /// Base units a request.
    pub max_price: Option<u64>,
    /// Base units a day.
    pub budget_day: Option<u64>,
    /// Base units in 30 days.
    pub budget_month: Option<u64>,
}

const COLUMNS: &str =
    "id, prefix, name, models, requests_per_minute, streams, max_price, budget_day,
    budget_month, created, expires, revoked, group_id";

/// Stores a key by its digest.
pub(crate) fn add(db: &Connection, digest: [u8; 32], key: &Key) -> rusqlite::Result<i64> {
    let models = key.models.as_ref().map(|models| models.join("\n"));
    let limits = &key.limits;
    db.execute(
        "INSERT INTO keys (digest, prefix, name, models, requests_per_minute, streams, max_price,
             budget_day, budget_month, created, expires, group_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            digest,
            key.prefix,
            key.name,
            models,
            limits.requests_per_minute,
            limits.streams,
            limits.max_price,
            limits.budget_day,
            limits.budget_month,
            now(),
            key.expires,
            key.group,
        ],
    )?;
    Ok(db.last_insert_rowid())
}

/// The key with this digest.
pub(crate) fn find(db: &Connection, digest: [u8; 32]) -> rusqlite::Result<Option<Key>> {
    let query = format!("SELECT {COLUMNS} FROM keys WHERE digest = ?1");
    db.prepare(&query)?.query_row([digest], key).optional()
}

/// All keys, oldest first.
pub(crate) fn list(db: &Connection) -> rusqlite::Result<Vec<Key>> {
    let mut query = db.prepare(&format!("SELECT {COLUMNS} FROM keys ORDER BY id"))?;
    let keys = query.query_map([], key)?;
    keys.collect()
}

/// The keys whose prefix or name is `name`.
pub(crate) fn named(db: &Connection, name: &str) -> rusqlite::Result<Vec<Key>> {
    let mut query = db.prepare(&format!(
        "SELECT {COLUMNS} FROM keys WHERE prefix = ?1 OR name = ?1 ORDER BY id"
    ))?;
    let keys = query.query_map([name], key)?;
    keys.collect()
}

/// All keys with their digests, oldest first.
pub(crate) fn export(db: &Connection) -> rusqlite::Result<Vec<([u8; 32], Key)>> {
    let mut query = db.prepare(&format!("SELECT {COLUMNS}, digest FROM keys ORDER BY id"))?;
    let keys = query.query_map([], |row| Ok((row.get(13)?, key(row)?)))?;
    keys.collect()
}

/// Adds the key with this digest, or gives it this name, group, limits and end; returns whether it is new.
/// One that is revoked stays revoked.
pub(crate) fn import(db: &Connection, digest: [u8; 32], key: &Key) -> rusqlite::Result<bool> {
    let is_new = find(db, digest)?.is_none();
    if is_new {
        add(db, digest, key)?;
    }
    let limits = &key.limits;
    db.prepare(
        "UPDATE keys SET name = ?2, models = ?3, requests_per_minute = ?4, streams = ?5,
             max_price = ?6, budget_day = ?7, budget_month = ?8, expires = ?9, group_id = ?10,
             revoked = coalesce(revoked, ?11)
         WHERE digest = ?1",
    )?
    .execute(params![
        digest,
        key.name,
        key.models.as_ref().map(|models| models.join("\n")),
        limits.requests_per_minute,
        limits.streams,
        limits.max_price,
        limits.budget_day,
        limits.budget_month,
        key.expires,
        key.group,
        key.revoked,
    ])?;
    Ok(is_new)
}

/// Revokes the keys whose prefix or name is `name`; returns how many.
pub(crate) fn revoke(db: &Connection, name: &str) -> rusqlite::Result<usize> {
    db.execute(
        "UPDATE keys SET revoked = ?2 WHERE revoked IS NULL AND (prefix = ?1 OR name = ?1)",
        params![name, now()],
    )
}

/// What a key paid since a time, base units.
pub(crate) fn spent(db: &Connection, key: i64, since: u64) -> rusqlite::Result<u64> {
    db.prepare(
        "SELECT coalesce(sum(amount), 0) FROM ledger
         WHERE key = ?1 AND created >= ?2 AND kind = 'charge'",
    )?
    .query_row(params![key, since], |row| row.get(0))
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    let models: Option<String> = row.get(3)?;
    Ok(Key {
        id: row.get(0)?,
        prefix: row.get(1)?,
        name: row.get(2)?,
        models: models.map(|models| models.lines().map(str::to_owned).collect()),
        limits: Limits {
            requests_per_minute: row.get(4)?,
            streams: row.get(5)?,
            max_price: row.get(6)?,
            budget_day: row.get(7)?,
            budget_month: row.get(8)?,
        },
        created: row.get(9)?,
        expires: row.get(10)?,
        revoked: row.get(11)?,
        group: row.get(12)?,
    })
}
