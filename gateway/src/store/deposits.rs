//! Transfers to the gateway's account, and how far the chain is read for them.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::groups;
use crate::chain::Transfer;

/// What a memo begins with; the name of a group follows.
pub(crate) const MEMO: &str = "poq-gateway:";

/// Where a transfer stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The block.
    pub height: u64,
    /// Index of the transaction in the block.
    pub tx: u32,
    /// Index of the message in the transaction.
    pub message: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.height, self.tx, self.message)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let mut parts = text.split('-');
            let place = Self {
                height: parts.next()?.parse().ok()?,
                tx: parts.next()?.parse().ok()?,
                message: parts.next().map_or(Some(0), |part| part.parse().ok())?,
            };
            parts.next().is_none().then_some(place)
        };
        parse().ok_or_else(|| {
            format!(
                "`{text}` is not HEIGHT-INDEX or HEIGHT-INDEX-MESSAGE, as `deposits list` shows it"
            )
        })
    }
}

/// A transfer to the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deposit {
    /// Where it is.
    pub place: Place,
    /// Who paid.
    pub sender: String,
    /// Base units.
    pub amount: u64,
    /// The transaction's memo.
    pub memo: String,
    /// Row of the group that has it; None until the operator assigns it.
    pub group: Option<i64>,
}

/// The last block that was read; None before the first.
pub(crate) fn followed(db: &Connection) -> rusqlite::Result<Option<u64>> {
    db.query_row("SELECT height FROM followed", [], |row| row.get(0))
        .optional()
}

/// Begins to read after a block, unless that has begun before.
pub(crate) fn follow_from(db: &Connection, height: u64) -> rusqlite::Result<()> {
    db.execute("INSERT OR IGNORE INTO followed VALUES (1, ?1)", [height])?;
    Ok(())
}

/// Stores the transfers of the next block and credits those whose memo names a group. Returns those that
/// no group got; nothing if the block was read before.
pub(crate) fn take(
    db: &Connection,
    height: u64,
    transfers: &[Transfer],
) -> rusqlite::Result<Vec<Deposit>> {
    let moved = db.execute(
        "UPDATE followed SET height = ?1 WHERE height = ?1 - 1",
        [height],
    )?;
    if moved == 0 {
        return Ok(Vec::new());
    }
    let mut unassigned = Vec::new();
    for transfer in transfers {
        let name = transfer.memo.trim().strip_prefix(MEMO);
        let group = name.map(|name| groups::find(db, name)).transpose()?;
        let deposit = Deposit {
            place: Place {
                height,
                tx: transfer.tx,
                message: transfer.message,
            },
            sender: transfer.sender.clone(),
            amount: transfer.amount,
            memo: transfer.memo.clone(),
            group: group.flatten().map(|group| group.id),
        };
        add(db, &deposit)?;
        match deposit.group {
            Some(group) => credit(db, &deposit, group)?,
            None => unassigned.push(deposit),
        }
    }
    Ok(unassigned)
}

fn add(db: &Connection, deposit: &Deposit) -> rusqlite::Result<()> {
    let place = deposit.place;
    db.prepare("INSERT INTO deposits VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            place.height,
            place.tx,
            place.message,
            deposit.sender,
            deposit.amount,
            deposit.memo,
            deposit.group,
        ])?;
    Ok(())
}

fn credit(db: &Connection, deposit: &Deposit, group: i64) -> rusqlite::Result<()> {
    groups::deposit(db, group, (&deposit.place.to_string(), deposit.amount))
}

/// Gives a deposit that no group has to one. Returns it; None if there is no such deposit.
pub(crate) fn assign(
    db: &Connection,
    place: Place,
    group: i64,
) -> rusqlite::Result<Option<Deposit>> {
    let assigned = db.execute(
        "UPDATE deposits SET group_id = ?4
         WHERE height = ?1 AND tx = ?2 AND message = ?3 AND group_id IS NULL",
        params![place.height, place.tx, place.message, group],
    )?;
    if assigned == 0 {
        return Ok(None);
    }
    let deposit = db
        .prepare(&format!(
            "{SELECT} WHERE height = ?1 AND tx = ?2 AND message = ?3"
        ))?
        .query_row(params![place.height, place.tx, place.message], deposit)?;
    credit(db, &deposit, group)?;
    Ok(Some(deposit))
}

/// All deposits, oldest first.
pub(crate) fn list(db: &Connection) -> rusqlite::Result<Vec<Deposit>> {
    let mut query = db.prepare(&format!("{SELECT} ORDER BY height, tx, message"))?;
    let found = query.query_map([], deposit)?;
    found.collect()
}

const SELECT: &str = "SELECT height, tx, message, sender, amount, memo, group_id FROM deposits";

fn deposit(row: &Row<'_>) -> rusqlite::Result<Deposit> {
    Ok(Deposit {
        place: Place {
            height: row.get(0)?,
            tx: row.get(1)?,
            message: row.get(2)?,
        },
        sender: row.get(3)?,
        amount: row.get(4)?,
        memo: row.get(5)?,
        group: row.get(6)?,
    })
}
