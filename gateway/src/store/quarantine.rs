//! Nodes that broke the protocol, and until when they are not used.

use rusqlite::{Connection, OptionalExtension, Row, params};

/// The first quarantine, seconds; each further one is twice as long.
const FIRST: u64 = 3_600;
/// The longest quarantine, seconds.
const LONGEST: u64 = 86_400;
/// How long a node must keep the protocol after a quarantine until its next one is the first again,
/// seconds.
const FORGIVEN: u64 = 7 * 86_400;

/// A node in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quarantined {
    /// Address of the node's operator.
    pub operator: String,
    /// What the node did.
    pub reason: String,
    /// How often it was quarantined.
    pub times: u32,
    /// Seconds since 1970.
    pub since: u64,
    /// Seconds since 1970.
    pub until: u64,
}

/// Puts a node in quarantine, unless it is there already.
pub(crate) fn add(db: &Connection, operator: &str, reason: &str, now: u64) -> rusqlite::Result<()> {
    let earlier = db
        .prepare(&format!("{SELECT} WHERE operator = ?1"))?
        .query_row([operator], quarantined)
        .optional()?;
    let times = match earlier {
        Some(earlier) if now < earlier.until => return Ok(()),
        Some(earlier) if now < earlier.until.saturating_add(FORGIVEN) => {
            earlier.times.saturating_add(1)
        }
        _ => 1,
    };
    db.prepare("INSERT OR REPLACE INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            operator,
            reason,
            times,
            now,
            now.saturating_add(length(times))
        ])?;
    Ok(())
}

fn length(times: u32) -> u64 {
    let factor = 2_u64.saturating_pow(times.saturating_sub(1));
    FIRST.saturating_mul(factor).min(LONGEST)
}

/// Nodes that are in quarantine, by operator.
pub(crate) fn list(db: &Connection, now: u64) -> rusqlite::Result<Vec<Quarantined>> {
    let mut query = db.prepare(&format!("{SELECT} WHERE until > ?1 ORDER BY operator"))?;
    let found = query.query_map([now], quarantined)?;
    found.collect()
}

/// Ends a node's quarantine and forgets it; returns whether there was one.
pub(crate) fn release(db: &Connection, operator: &str, now: u64) -> rusqlite::Result<bool> {
    let until: Option<u64> = db
        .prepare("DELETE FROM quarantine WHERE operator = ?1 RETURNING until")?
        .query_row([operator], |row| row.get(0))
        .optional()?;
    Ok(until.is_some_and(|until| until > now))
}

const SELECT: &str = "SELECT operator, reason, times, since, until FROM quarantine";

fn quarantined(row: &Row<'_>) -> rusqlite::Result<Quarantined> {
    Ok(Quarantined {
        operator: row.get(0)?,
        reason: row.get(1)?,
        times: row.get(2)?,
        since: row.get(3)?,
        until: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("quarantine.sql")).unwrap();
        db
    }

    #[test]
    fn each_quarantine_is_twice_as_long_up_to_a_day() {
        let db = database();
        let mut now = 1_000;
        for hours in [1, 2, 4, 8, 16, 24, 24] {
            add(&db, "a", "it lied", now).unwrap();
            // Not longer by what it does meanwhile.
            add(&db, "a", "again", now + 10).unwrap();
            let [found] = &list(&db, now).unwrap()[..] else {
                panic!("one node");
            };
            assert_eq!(
                (found.until - now, &*found.reason),
                (hours * 3_600, "it lied")
            );
            now = found.until;
            assert_eq!(list(&db, now).unwrap(), []);
        }
        add(&db, "a", "it lied", now + FORGIVEN).unwrap();
        assert_eq!(list(&db, now + FORGIVEN).unwrap()[0].times, 1);
    }

    #[test]
    fn a_released_node_is_forgotten() {
        let db = database();
        add(&db, "a", "it lied", 0).unwrap();
        add(&db, "b", "it lied", 0).unwrap();
        assert!(release(&db, "a", 1).unwrap());
        assert!(!release(&db, "a", 1).unwrap());
        assert_eq!(list(&db, 1).unwrap()[0].operator, "b");
        assert!(!release(&db, "b", 3_600).unwrap(), "its time was over");
    }
}
