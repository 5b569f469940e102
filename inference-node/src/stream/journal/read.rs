//! What the journal knows.

use poq_proto::Voucher;
use poq_proto::v1::{self, Finish};
use prost::Message;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::{Error, Kept, KeptOrder, Served, Signed};
use crate::stream::log::Ended;

/// The sessions that are not over, with all their orders.
pub(super) fn sessions(connection: &Connection, chain: &str) -> Result<Vec<Kept>, Error> {
    let sql = "SELECT record, voucher, signature FROM sessions \
               WHERE chain = ? AND over = 0 ORDER BY session";
    let mut rows = connection.prepare(sql).map_err(Error::read)?;
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found = rows.query_map([chain], columns).map_err(Error::read)?;
    found
        .map(|row| {
            let (record, voucher, signature) = row.map_err(Error::read)?;
            kept(connection, chain, record, voucher, signature)
        })
        .collect()
}

fn kept(
    connection: &Connection,
    chain: &str,
    record: Vec<u8>,
    voucher: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
) -> Result<Kept, Error> {
    let record = v1::Session::decode(record.as_slice()).map_err(Error::read)?;
    let newest = voucher.zip(signature).map(|(voucher, signature)| {
        let voucher = v1::Voucher::decode(voucher.as_slice()).map_err(Error::read)?;
        Ok(Signed {
            voucher: Voucher::try_from(&voucher).map_err(Error::read)?,
            signature: signature
                .try_into()
                .map_err(|_| Error::read("a signature does not have 64 bytes"))?,
        })
    });
    Ok(Kept {
        newest: newest.transpose()?,
        orders: orders(connection, chain, record.id)?,
        record,
    })
}

fn orders(connection: &Connection, chain: &str, session: u64) -> Result<Vec<KeptOrder>, Error> {
    let sql = "SELECT number, chat, answer, finish, prompt_tokens, answer_tokens FROM orders \
               WHERE chain = ? AND session = ? ORDER BY number";
    let mut rows = connection.prepare(sql).map_err(Error::read)?;
    let mut found = rows
        .query(params![chain, session.cast_signed()])
        .map_err(Error::read)?;
    let mut orders = Vec::new();
    while let Some(row) = found.next().map_err(Error::read)? {
        let number: i64 = row.get(0).map_err(Error::read)?;
        if number.cast_unsigned() != orders.len() as u64 {
            let reason = format!("session {session} has no order {}", orders.len());
            return Err(Error::read(reason));
        }
        orders.push(order(row)?);
    }
    Ok(orders)
}

fn order(row: &Row<'_>) -> Result<KeptOrder, Error> {
    let (chat, answer): (Vec<u8>, String) = (cell(row, 1)?, cell(row, 2)?);
    let finish = Finish::try_from(cell::<i32>(row, 3)?).map_err(Error::read)?;
    let ended = Ended {
        answer: Sha256::digest(&answer).into(),
        answer_bytes: answer.len().try_into().map_err(Error::read)?,
        prompt_tokens: cell(row, 4)?,
        answer_tokens: cell(row, 5)?,
        finish,
    };
    Ok(KeptOrder {
        chat: v1::Chat::decode(chat.as_slice()).map_err(Error::read)?,
        ended: match finish {
            Finish::Void => Ended::VOID,
            _ => ended,
        },
    })
}

fn cell<T: rusqlite::types::FromSql>(row: &Row<'_>, column: usize) -> Result<T, Error> {
    row.get(column).map_err(Error::read)
}

/// An order that has ended.
pub(super) fn served(
    connection: &Connection,
    chain: &str,
    session: u64,
    number: u64,
) -> Result<Option<Served>, Error> {
    let sql = "SELECT chat, answer FROM orders \
               WHERE chain = ? AND session = ? AND number = ? AND finish IS NOT NULL";
    let key = params![chain, session.cast_signed(), number.cast_signed()];
    let columns = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?));
    let found = connection.query_row(sql, key, columns).optional();
    found
        .map_err(Error::read)?
        .map(|(chat, answer)| {
            Ok(Served {
                chat: v1::Chat::decode(chat.as_slice()).map_err(Error::read)?,
                answer,
            })
        })
        .transpose()
}

/// Whether the session is over.
pub(super) fn is_over(connection: &Connection, chain: &str, session: u64) -> Result<bool, Error> {
    let sql = "SELECT over FROM sessions WHERE chain = ? AND session = ?";
    let key = params![chain, session.cast_signed()];
    let over = connection.query_row(sql, key, |row| row.get(0)).optional();
    over.map(|over| over.unwrap_or(false)).map_err(Error::read)
}

/// The window of an account.
pub(super) fn window(
    connection: &Connection,
    chain: &str,
    user: &str,
) -> Result<Option<u32>, Error> {
    let sql = "SELECT size FROM windows WHERE chain = ? AND user = ?";
    let size = connection
        .query_row(sql, [chain, user], |row| row.get(0))
        .optional();
    size.map_err(Error::read)
}
