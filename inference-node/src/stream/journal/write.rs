//! The writing thread.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use poq_proto::v1;
use poq_worker::Health;
use prost::Message;
use rusqlite::{Connection, Transaction, params};
use tracing::{info, warn};

use super::{Error, Request, Signed, VERSION, Write};
use crate::stream::measure;

/// Most changes in one commit.
const GROUP: usize = 256;

/// The part of [`Health`] that says whether the journal can be written.
const PART: &str = "stream_journal";

/// Stores what is requested until all journals are dropped, or `lives` says no; what waits is committed
/// together.
pub(super) fn run(
    mut connection: Connection,
    chain: &str,
    requests: &Receiver<Request>,
    health: &Health,
    mut lives: impl FnMut() -> bool,
) {
    while let Ok(first) = requests.recv() {
        let mut group = vec![first];
        group.extend(requests.try_iter().take(GROUP - 1));
        let (writes, dones): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        if !lives() {
            return;
        }
        let start = Instant::now();
        let outcomes = commit(&mut connection, chain, &writes).unwrap_or_else(|error| {
            warn!("{error}");
            vec![Err(error); writes.len()]
        });
        if !lives() {
            return;
        }
        measure::committed(start.elapsed());
        report(&outcomes, health);
        for (done, outcome) in dones.into_iter().zip(outcomes) {
            // Not everybody waits.
            let _ = done.send(outcome);
        }
    }
}

fn report(outcomes: &[Result<(), Error>], health: &Health) {
    let is_failure = |outcome: &&Error| matches!(outcome, Error::Write(_));
    let mut failures = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let problem = failures.find(is_failure).map(Error::to_string);
    health.set(PART, problem);
}

/// One transaction; a change that fails alone does not keep the others from the disk.
fn commit(
    connection: &mut Connection,
    chain: &str,
    writes: &[Write],
) -> Result<Vec<Result<(), Error>>, Error> {
    let mut transaction = connection.transaction().map_err(Error::write)?;
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        outcomes.push(apply_alone(&mut transaction, chain, write)?);
    }
    transaction.commit().map_err(Error::write)?;
    Ok(outcomes)
}

fn apply_alone(
    transaction: &mut Transaction<'_>,
    chain: &str,
    write: &Write,
) -> Result<Result<(), Error>, Error> {
    let savepoint = transaction.savepoint().map_err(Error::write)?;
    match apply(&savepoint, chain, write) {
        Ok(()) => savepoint.commit().map(Ok).map_err(Error::write),
        // Dropping the savepoint takes back what the change has done.
        Err(error) => Ok(Err(error)),
    }
}

fn apply(connection: &Connection, chain: &str, write: &Write) -> Result<(), Error> {
    match write {
        Write::Open(record) => {
            let sql = "INSERT INTO sessions (chain, session, record) VALUES (?, ?, ?)";
            let values = params![chain, record.id.cast_signed(), record.encode_to_vec()];
            connection.execute(sql, values).map_err(Error::change)?;
        }
        Write::Order { chat, signed } => {
            newest(connection, chain, signed)?;
            let (session, number) = (signed.voucher.session, signed.voucher.number);
            let sql = "INSERT INTO orders (chain, session, number, chat) VALUES (?, ?, ?, ?)";
            let key = (chain, session.cast_signed(), number.cast_signed());
            let values = params![key.0, key.1, key.2, chat.encode_to_vec()];
            connection.execute(sql, values).map_err(Error::change)?;
        }
        Write::Acknowledge(signed) => newest(connection, chain, signed)?,
        Write::Text {
            session,
            number,
            delta,
        } => {
            let sql = "UPDATE orders SET answer = answer || ?4 \
                       WHERE chain = ?1 AND session = ?2 AND number = ?3 AND finish IS NULL";
            let values = params![chain, session.cast_signed(), number.cast_signed(), delta];
            one(connection.execute(sql, values), "the order has ended")?;
        }
        Write::End {
            session,
            number,
            text,
            ended,
        } => {
            let sql = "UPDATE orders \
                       SET answer = ?4, finish = ?5, prompt_tokens = ?6, answer_tokens = ?7 \
                       WHERE chain = ?1 AND session = ?2 AND number = ?3 AND finish IS NULL";
            let values = params![
                chain,
                session.cast_signed(),
                number.cast_signed(),
                text,
                ended.finish as i32,
                ended.prompt_tokens,
                ended.answer_tokens,
            ];
            one(connection.execute(sql, values), "the order has ended")?;
        }
        Write::Window { user, size } => {
            let sql = "INSERT OR REPLACE INTO windows (chain, user, size) VALUES (?, ?, ?)";
            let values = params![chain, user, size];
            connection.execute(sql, values).map_err(Error::change)?;
        }
        Write::Over(session) => over(connection, chain, *session)?,
        Write::Check => connection
            .pragma_update(None, "user_version", VERSION)
            .map_err(Error::change)?,
    }
    Ok(())
}

fn newest(connection: &Connection, chain: &str, signed: &Signed) -> Result<(), Error> {
    let sql = "UPDATE sessions SET voucher = ?3, signature = ?4 \
               WHERE chain = ?1 AND session = ?2 AND over = 0";
    let session = signed.voucher.session.cast_signed();
    let voucher = v1::Voucher::from(&signed.voucher).encode_to_vec();
    let values = params![chain, session, voucher, signed.signature.as_slice()];
    one(connection.execute(sql, values), "there is no such session")
}

/// The row of the session stays, so that its numbers cannot begin anew.
fn over(connection: &Connection, chain: &str, session: u64) -> Result<(), Error> {
    let key = params![chain, session.cast_signed()];
    let texts = "DELETE FROM orders WHERE chain = ? AND session = ?";
    let rest = "UPDATE sessions SET over = 1, record = x'', voucher = NULL, signature = NULL \
                WHERE chain = ? AND session = ?";
    connection
        .execute(texts, key)
        .and_then(|_| connection.execute(rest, key))
        .map(drop)
        .map_err(Error::change)
}

fn one(changed: rusqlite::Result<usize>, otherwise: &str) -> Result<(), Error> {
    match changed.map_err(Error::change)? {
        1 => Ok(()),
        _ => Err(Error::Conflict(otherwise.to_owned())),
    }
}

/// Ends the orders that were being answered when the last process ended: their readers may have seen
/// more text than was stored.
pub(super) fn void_what_is_open(connection: &mut Connection, chain: &str) -> Result<(), Error> {
    let sql = "UPDATE orders SET answer = '', finish = ?2 WHERE chain = ?1 AND finish IS NULL";
    let values = params![chain, v1::Finish::Void as i32];
    let lost = connection.execute(sql, values).map_err(Error::write)?;
    if lost > 0 {
        info!(lost, "answers of sessions were lost with the last process");
    }
    Ok(())
}
