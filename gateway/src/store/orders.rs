//! Orders and their answers.

use poq_proto::{Leaf, Voucher, v1};
use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use super::charges::{self, Charge};
use super::{now, sessions};
use crate::money::{Ending, Ordered};

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    /// Row of the API key.
    pub key: i64,
    /// Row of its group, whose credit pays; None if nobody prepays.
    pub group: Option<i64>,
    /// Id of the HTTP request.
    pub request_id: String,
}

/// Stores a voucher before it is sent, with what it acknowledges.
pub(crate) fn add(
    db: &Connection,
    voucher: &Voucher,
    ordered: &Ordered,
    asker: &Asker,
) -> rusqlite::Result<()> {
    db.prepare(
        "INSERT OR REPLACE INTO orders (session, number, request, prompt_bytes, max_answer_bytes, min_quality,
             ceiling, key, request_id, created, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'sent')",
    )?
    .execute(params![
        voucher.session,
        voucher.number,
        ordered.request,
        ordered.prompt_bytes,
        ordered.max_answer_bytes,
        ordered.min_quality,
        ordered.ceiling,
        asker.key,
        asker.request_id,
        now(),
    ])?;
    sessions::acknowledge(db, voucher.session, voucher.count)
}

/// Notes what the node said to an order.
pub(crate) fn told(
    db: &Connection,
    (session, number, request): (u64, u64, [u8; 32]),
    is_accepted: bool,
) -> rusqlite::Result<()> {
    let state = if is_accepted { "accepted" } else { "refused" };
    db.prepare("UPDATE orders SET state = ?4 WHERE session = ?1 AND number = ?2 AND request = ?3")?
        .execute(params![session, number, request, state])?;
    Ok(())
}

/// Stores an answer's leaf, its texts and charge, all or nothing. A second one for a number is refused.
/// `chat` is None if it is not known any more.
pub(crate) fn finish(
    db: &Connection,
    session: u64,
    ending: &Ending,
    (chat, text): (Option<&v1::Chat>, &str),
    charge: Charge,
) -> rusqlite::Result<()> {
    let leaf = &ending.leaf;
    db.prepare(
        "INSERT INTO leaves (session, number, leaf, signature, charged, key, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        session,
        leaf.number,
        v1::Leaf::from(leaf).encode_to_vec(),
        ending.signature,
        charge.amount,
        charge.key,
        now(),
    ])?;
    let chat = chat.map(Message::encode_to_vec);
    db.prepare("INSERT INTO texts (session, number, answer, chat) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![session, leaf.number, text, chat])?;
    charges::add(db, (session, leaf.number), charge)
}

/// All leaves of a session, by number.
pub(crate) fn leaves(db: &Connection, session: u64) -> rusqlite::Result<Vec<Leaf>> {
    let mut query = db.prepare("SELECT leaf FROM leaves WHERE session = ?1 ORDER BY number")?;
    let found = query.query_map([session], |row| {
        let bytes: Vec<u8> = row.get(0)?;
        leaf(&bytes)
    })?;
    found.collect()
}

/// All orders of a session that the node did not refuse, by number; of several under one number the
/// accepted one, else the newest.
pub(crate) fn orders(db: &Connection, session: u64) -> rusqlite::Result<Vec<(u64, Ordered)>> {
    let mut query = db.prepare(
        "SELECT number, request, prompt_bytes, max_answer_bytes, min_quality, ceiling
         FROM orders WHERE session = ?1 AND state <> 'refused'
         ORDER BY number, state = 'accepted', id",
    )?;
    let found = query.query_map([session], |row| {
        let ordered = Ordered {
            request: row.get(1)?,
            prompt_bytes: row.get(2)?,
            max_answer_bytes: row.get(3)?,
            min_quality: row.get(4)?,
            ceiling: row.get(5)?,
        };
        Ok((row.get(0)?, ordered))
    })?;
    let mut orders: Vec<(u64, Ordered)> = Vec::new();
    for order in found {
        let order = order?;
        match orders.last_mut() {
            Some(last) if last.0 == order.0 => *last = order,
            _ => orders.push(order),
        }
    }
    Ok(orders)
}

/// The text of an answer, while its session is not over.
pub(crate) fn text(db: &Connection, session: u64, number: u64) -> rusqlite::Result<Option<String>> {
    db.prepare("SELECT answer FROM texts WHERE session = ?1 AND number = ?2")?
        .query_row(params![session, number], |row| row.get(0))
        .optional()
}

/// What was asked, while its session is not over.
pub(crate) fn chat(
    db: &Connection,
    session: u64,
    number: u64,
) -> rusqlite::Result<Option<v1::Chat>> {
    let chat: Option<Option<Vec<u8>>> = db
        .prepare("SELECT chat FROM texts WHERE session = ?1 AND number = ?2")?
        .query_row(params![session, number], |row| row.get(0))
        .optional()?;
    let chat = chat.flatten();
    chat.map(|bytes| sessions::decoded(&bytes)).transpose()
}

/// What all API keys paid for answers of a session, base units.
#[cfg(test)]
pub(crate) fn charged(db: &Connection, session: u64) -> rusqlite::Result<u64> {
    let query =
        "SELECT coalesce(sum(amount), 0) FROM ledger WHERE session = ?1 AND kind = 'charge'";
    db.query_row(query, [session], |row| row.get(0))
}

pub(super) fn leaf(bytes: &[u8]) -> rusqlite::Result<Leaf> {
    let leaf: v1::Leaf = sessions::decoded(bytes)?;
    Leaf::try_from(&leaf).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, error.into())
    })
}
