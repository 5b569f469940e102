//! Takes up sessions that an earlier process left.

use tracing::{info, warn};

use super::keeper::Keeper;
use super::open::Error;
use super::recover::recover;
use crate::store::now;
use crate::store::sessions::{self, State};

/// Age from which a set whose transaction is in no block is given up, seconds.
const LOST: u64 = 600;

impl Keeper {
    /// Reads what is stored of sessions that are not over.
    pub(super) async fn take_up(&mut self) -> Result<(), Error> {
        for stored in self.store.read(sessions::unfinished)? {
            let id = stored.record.id;
            match stored.state {
                State::Opening => self.opening.push(stored),
                State::Open | State::Draining => match self.connect(stored.clone()).await {
                    Ok(live) => {
                        info!(session = id, "a session is taken up");
                        self.roster.add(live.clone());
                        recover(&live, &self.store, &self.roster);
                    }
                    Err(error) if error.is_lasting() => {
                        warn!(session = id, "a session cannot be taken up: {error}");
                        self.close(vec![stored]).await;
                    }
                    Err(error) => return Err(error),
                },
                State::Closed => self.closed.push(stored),
                State::Over => {}
            }
        }
        Ok(())
    }

    /// Looks for sessions of sets whose transaction was sent when the process ended.
    pub(super) async fn find_lost_sets(&mut self) -> Result<(), Error> {
        let sets = self.store.read(sessions::unresolved_sets)?;
        if sets.is_empty() {
            return Ok(());
        }
        let records = self.chain.sessions().await?;
        for set in sets {
            let own = records
                .iter()
                .filter(|record| record.session_key == set.public_key);
            let own: Vec<_> = own.cloned().collect();
            if own.is_empty() && now().saturating_sub(set.created) > LOST {
                let id = set.id;
                self.store
                    .write(move |db| sessions::resolve_set(db, id))
                    .await?;
            }
            for record in own {
                info!(
                    session = record.id,
                    "a session of an interrupted transaction is found"
                );
                let stored = self.adopt(&set, record).await?;
                self.opening.push(stored);
            }
        }
        Ok(())
    }
}
