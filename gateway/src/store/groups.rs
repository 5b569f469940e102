//! Groups of keys, and the ledger of their prepaid credit.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::now;

/// A group of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Row.
    pub id: i64,
    /// The operator's name for it, which memos of deposits have.
    pub name: String,
    /// Base units that are not spent.
    pub credit: u64,
    /// Seconds since 1970.
    pub created: u64,
}

/// Adds a group without credit; returns its row. None if there is one with this name.
pub(crate) fn add(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let added = db.execute(
        "INSERT INTO groups (name, created) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        params![name, now()],
    )?;
    Ok((added > 0).then(|| db.last_insert_rowid()))
}

/// The group with a row.
pub(crate) fn get(db: &Connection, id: i64) -> rusqlite::Result<Group> {
    db.prepare("SELECT id, name, credit, created FROM groups WHERE id = ?1")?
        .query_row([id], group)
}

/// The group with a name.
pub(crate) fn find(db: &Connection, name: &str) -> rusqlite::Result<Option<Group>> {
    db.prepare("SELECT id, name, credit, created FROM groups WHERE name = ?1")?
        .query_row([name], group)
        .optional()
}

/// All groups, by name.
pub(crate) fn list(db: &Connection) -> rusqlite::Result<Vec<Group>> {
    let mut query = db.prepare("SELECT id, name, credit, created FROM groups ORDER BY name")?;
    let groups = query.query_map([], group)?;
    groups.collect()
}

/// Adds what the operator was paid elsewhere.
pub(crate) fn top_up(db: &Connection, group: i64, amount: u64) -> rusqlite::Result<()> {
    db.prepare(
        "INSERT INTO ledger (kind, group_id, amount, created) VALUES ('top-up', ?1, ?2, ?3)",
    )?
    .execute(params![group, amount, now()])?;
    Ok(())
}

/// Adds a deposit, named by its place in the chain. A second time is refused.
pub(super) fn deposit(
    db: &Connection,
    group: i64,
    (place, amount): (&str, u64),
) -> rusqlite::Result<()> {
    db.prepare(
        "INSERT INTO ledger (kind, group_id, deposit, amount, created)
         VALUES ('deposit', ?1, ?2, ?3, ?4)",
    )?
    .execute(params![group, place, amount, now()])?;
    Ok(())
}

/// What a group's rows of one kind sum up to, base units.
pub(crate) fn sum(db: &Connection, group: i64, kind: &str) -> rusqlite::Result<u64> {
    db.prepare("SELECT coalesce(sum(amount), 0) FROM ledger WHERE group_id = ?1 AND kind = ?2")?
        .query_row(params![group, kind], |row| row.get(0))
}

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        id: row.get(0)?,
        name: row.get(1)?,
        credit: row.get(2)?,
        created: row.get(3)?,
    })
}
