//! What answers cost those who asked for them, and what comes back when their session ends.

use poq_proto::v1;
use rusqlite::{Connection, OptionalExtension, params};

use super::{now, sessions};
use crate::money::given_back;

/// Who pays how much for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Row of the API key.
    pub key: i64,
    /// Row of its group, whose credit pays.
    pub group: Option<i64>,
    /// Base units.
    pub amount: u64,
}

impl Charge {
    /// The gateway pays itself.
    pub(crate) const NOBODY: Self = Self {
        key: 0,
        group: None,
        amount: 0,
    };
}

/// Charges an answer. A second time is refused.
pub(super) fn add(
    db: &Connection,
    (session, number): (u64, u64),
    charge: Charge,
) -> rusqlite::Result<()> {
    if charge.amount == 0 {
        return Ok(());
    }
    db.prepare(
        "INSERT INTO ledger (kind, group_id, key, session, number, amount, created)
         VALUES ('charge', ?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        charge.group,
        charge.key,
        session,
        number,
        charge.amount,
        now()
    ])?;
    // A receipt that comes after the session's end would otherwise miss its return.
    match over(db, session)? {
        Some(record) => give_back(db, &record),
        None => Ok(()),
    }
}

/// Gives groups back what an ended session did not cost: for each charge once.
pub(super) fn give_back(db: &Connection, record: &v1::Session) -> rusqlite::Result<()> {
    let mut query = db.prepare(
        "SELECT group_id, key, number, amount FROM ledger AS charge
         WHERE session = ?1 AND kind = 'charge' AND group_id IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM ledger
             WHERE session = ?1 AND number = charge.number AND kind = 'return')",
    )?;
    let charges = query.query_map([record.id], |row| {
        let charge = Charge {
            group: row.get(0)?,
            key: row.get(1)?,
            amount: row.get(3)?,
        };
        Ok((row.get::<_, u64>(2)?, charge))
    })?;
    let charges = charges.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut add = db.prepare(
        "INSERT INTO ledger (kind, group_id, key, session, number, amount, created)
         VALUES ('return', ?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (number, charge) in charges {
        let amount = given_back(record, number, charge.amount);
        if amount > 0 {
            add.execute(params![
                charge.group,
                charge.key,
                record.id,
                number,
                amount,
                now()
            ])?;
        }
    }
    Ok(())
}

/// The record of a session that is over.
fn over(db: &Connection, session: u64) -> rusqlite::Result<Option<v1::Session>> {
    let record: Option<Vec<u8>> = db
        .prepare("SELECT record FROM sessions WHERE id = ?1 AND state = 'over'")?
        .query_row([session], |row| row.get(0))
        .optional()?;
    record.map(|bytes| sessions::decoded(&bytes)).transpose()
}
