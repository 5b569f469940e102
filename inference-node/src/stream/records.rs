//! The records of this node's sessions, as they are in the chain's newest state.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use poq_client::Result;
use poq_proto::v1::{Session, SessionStatus};

use super::chain::Chain;
use super::measure;

/// How long a session that the chain does not know is not asked for again.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Most unknown sessions to remember.
const MOST_UNKNOWN: usize = 10_000;

/// A copy of the records, renewed with every block.
pub(super) struct Records {
    chain: Arc<dyn Chain>,
    /// Bech32.
    operator: String,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    sessions: HashMap<u64, Arc<Session>>,
    unknown: HashMap<u64, Instant>,
}

impl Records {
    /// Those of `operator`; none yet.
    pub(super) fn new(chain: Arc<dyn Chain>, operator: &str) -> Self {
        Self {
            chain,
            operator: operator.to_owned(),
            known: RwLock::default(),
        }
    }

    /// The record of a session of this node. Asks the chain if the copy has none, but not for the same
    /// session all the time.
    ///
    /// # Errors
    /// Those of the node.
    pub(super) async fn find(&self, id: u64) -> Result<Option<Arc<Session>>> {
        if let Some(record) = self.copy(id) {
            return Ok(Some(record));
        }
        if self.was_unknown(id) {
            return Ok(None);
        }
        let found = self.chain.session(id).await?;
        let own = found.filter(|record| self.is_own(record)).map(Arc::new);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match &own {
            Some(record) => {
                known.sessions.insert(id, record.clone());
            }
            None => {
                if known.unknown.len() >= MOST_UNKNOWN {
                    known.unknown.clear();
                }
                known.unknown.insert(id, Instant::now());
            }
        }
        Ok(own)
    }

    fn is_own(&self, record: &Session) -> bool {
        let node = record.node.as_ref();
        node.is_some_and(|node| node.operator == self.operator)
    }

    /// The record in the copy.
    pub(super) fn copy(&self, id: u64) -> Option<Arc<Session>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.sessions.get(&id).cloned()
    }

    /// All records in the copy.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.sessions.values().cloned().collect()
    }

    fn was_unknown(&self, id: u64) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let since = known.unknown.get(&id);
        since.is_some_and(|since| since.elapsed() < UNKNOWN)
    }

    /// Reads the records of this node's open sessions, and of those in `kept`, which may have ended.
    ///
    /// # Errors
    /// Those of the node; the copy then stays as it is.
    pub(super) async fn renew(&self, kept: &[u64]) -> Result<()> {
        let listed = self.chain.sessions().await?;
        let mut sessions: HashMap<u64, Arc<Session>> = listed
            .into_iter()
            .map(|record| (record.id, Arc::new(record)))
            .collect();
        for id in kept {
            if !sessions.contains_key(id)
                && let Some(record) = self.chain.session(*id).await?
            {
                sessions.insert(*id, Arc::new(record));
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (id, new) in &sessions {
            if let Some(old) = known.sessions.get(id) {
                measure::progress(old, new);
            }
        }
        known.sessions = sessions;
        known.unknown.retain(|_, since| since.elapsed() < UNKNOWN);
        Ok(())
    }
}

/// Whether the session has ended on the chain.
pub(super) fn is_over(record: &Session) -> bool {
    matches!(
        record.status(),
        SessionStatus::Final | SessionStatus::Refunded
    )
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::SessionNode;

    use super::*;
    use crate::stream::testing::{OPERATOR, Played, SESSION, record};

    #[tokio::test]
    async fn a_new_session_is_found_before_the_next_block_and_another_node_s_is_not() {
        let chain = Played::new();
        let records = Records::new(chain.clone(), OPERATOR);
        records.renew(&[]).await.unwrap();
        assert!(records.copy(SESSION).is_some());
        chain.sessions().insert(8, record(8));
        let foreign = Session {
            node: Some(SessionNode {
                operator: "poq1other".into(),
                ..SessionNode::default()
            }),
            ..record(9)
        };
        let waiting = Session {
            node: None,
            ..record(10)
        };
        chain.sessions().extend([(9, foreign), (10, waiting)]);
        assert_eq!(records.find(8).await.unwrap().unwrap().id, 8);
        for id in [9, 10, 11] {
            assert!(records.find(id).await.unwrap().is_none(), "{id}");
            assert!(records.copy(id).is_none());
        }
    }

    #[tokio::test]
    async fn a_kept_session_is_followed_to_its_end() {
        let chain = Played::new();
        let records = Records::new(chain.clone(), OPERATOR);
        chain.change(|session| {
            session.node = None;
            session.status = SessionStatus::Final.into();
        });
        records.renew(&[]).await.unwrap();
        assert!(records.copy(SESSION).is_none());
        records.renew(&[SESSION, 99]).await.unwrap();
        assert!(is_over(&records.copy(SESSION).unwrap()));
    }
}
