//! Sets and sessions.

use poq_proto::v1;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{charges, now};

/// Where a session stands for the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Its node is not drawn.
    Opening,
    /// Takes orders.
    Open,
    /// Takes no new orders; open ones end.
    Draining,
    /// The chain ends it.
    Closed,
    /// Its record is final.
    Over,
}

impl State {
    /// The name in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Draining => "draining",
            Self::Closed => "closed",
            Self::Over => "over",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "opening" => Self::Opening,
            "open" => Self::Open,
            "draining" => Self::Draining,
            "over" => Self::Over,
            _ => Self::Closed,
        }
    }
}

/// Sessions that are opened together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    /// Row.
    pub id: i64,
    /// What the session key is derived from.
    pub nonce: Vec<u8>,
    /// Compressed session key.
    pub public_key: Vec<u8>,
    /// Model id.
    pub model: String,
    /// "sampled" or "all".
    pub tier: String,
    /// Seconds since 1970.
    pub created: u64,
}

/// A session as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Its set.
    pub set: Set,
    /// The chain's record.
    pub record: v1::Session,
    /// Where it stands.
    pub state: State,
}

/// Stores a set before its transaction is sent; returns its row.
pub(crate) fn add_set(db: &Connection, set: &Set) -> rusqlite::Result<i64> {
    db.execute(
        "INSERT INTO sets (nonce, public_key, model, tier, created) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![set.nonce, set.public_key, set.model, set.tier, now()],
    )?;
    Ok(db.last_insert_rowid())
}

/// The chain has the set's sessions, or never will.
pub(crate) fn resolve_set(db: &Connection, id: i64) -> rusqlite::Result<()> {
    db.execute("UPDATE sets SET resolved = 1 WHERE id = ?1", [id])?;
    Ok(())
}

/// Sets of which it is unknown whether the chain has their sessions.
pub(crate) fn unresolved_sets(db: &Connection) -> rusqlite::Result<Vec<Set>> {
    let mut query = db.prepare(
        "SELECT id, nonce, public_key, model, tier, created FROM sets WHERE resolved = 0",
    )?;
    let sets = query.query_map([], |row| set(row, 0))?;
    sets.collect()
}

/// Adds a session, or replaces its record.
pub(crate) fn put(
    db: &Connection,
    set: i64,
    record: &v1::Session,
    state: State,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO sessions (id, set_id, record, state) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record, state = excluded.state",
        params![record.id, set, record.encode_to_vec(), state.name()],
    )?;
    Ok(())
}

/// Changes where a session stands.
pub(crate) fn set_state(db: &Connection, id: u64, state: State) -> rusqlite::Result<()> {
    db.prepare("UPDATE sessions SET state = ?2 WHERE id = ?1")?
        .execute(params![id, state.name()])?;
    Ok(())
}

/// Ends a session, once: groups get back what it did not cost, and its texts are no longer needed.
pub(crate) fn end(db: &Connection, record: &v1::Session) -> rusqlite::Result<()> {
    let ended = db.execute(
        "UPDATE sessions SET state = 'over', record = ?2 WHERE id = ?1 AND state <> 'over'",
        params![record.id, record.encode_to_vec()],
    )?;
    if ended == 0 {
        return Ok(());
    }
    charges::give_back(db, record)?;
    db.execute("DELETE FROM texts WHERE session = ?1", [record.id])?;
    Ok(())
}

/// A voucher that acknowledges `count` leaves is signed.
pub(crate) fn acknowledge(db: &Connection, id: u64, count: u64) -> rusqlite::Result<()> {
    db.prepare("UPDATE sessions SET acknowledged = max(acknowledged, ?2) WHERE id = ?1")?
        .execute(params![id, count])?;
    Ok(())
}

/// Sessions that are not over.
pub(crate) fn unfinished(db: &Connection) -> rusqlite::Result<Vec<Stored>> {
    let query = format!("{SELECT} WHERE state <> 'over' ORDER BY sessions.id");
    let mut query = db.prepare(&query)?;
    let found = query.query_map([], stored)?;
    found.collect()
}

/// One session.
pub(crate) fn find(db: &Connection, id: u64) -> rusqlite::Result<Option<Stored>> {
    let query = format!("{SELECT} WHERE sessions.id = ?1");
    db.prepare(&query)?.query_row([id], stored).optional()
}

const SELECT: &str = "SELECT record, state, sets.id, nonce, public_key, model, tier,
    created FROM sessions JOIN sets ON sets.id = set_id";

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let record: Vec<u8> = row.get(0)?;
    let state: String = row.get(1)?;
    Ok(Stored {
        record: decoded(&record)?,
        state: State::parse(&state),
        set: set(row, 2)?,
    })
}

fn set(row: &Row<'_>, first: usize) -> rusqlite::Result<Set> {
    Ok(Set {
        id: row.get(first)?,
        nonce: row.get(first + 1)?,
        public_key: row.get(first + 2)?,
        model: row.get(first + 3)?,
        tier: row.get(first + 4)?,
        created: row.get(first + 5)?,
    })
}

/// A message of the chain in a column.
pub(super) fn decoded<M: Message + Default>(bytes: &[u8]) -> rusqlite::Result<M> {
    M::decode(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, error.into())
    })
}
