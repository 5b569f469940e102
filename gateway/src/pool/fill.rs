//! Opens sets for pools that have too few sessions.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::keeper::{Keeper, is_worn};
use super::roster::PoolId;
use crate::ask::Tier;
use crate::store::sessions::Stored;

/// How long a pool is kept after the last request for it.
const WANTED: Duration = Duration::from_secs(600);
/// Pause between sets of a pool that found too few nodes, and the longest after a set could not be opened.
const RETRY: Duration = Duration::from_secs(15);
/// The first pause after a set could not be opened; each further one is twice as long.
const SOON: Duration = Duration::from_secs(2);
/// Longest pause between sets that drew nodes in quarantine.
const LONGEST: Duration = Duration::from_secs(600);

impl Keeper {
    /// Opens sets for pools that have too few sessions.
    pub(super) async fn fill(&mut self) {
        let since = Instant::now()
            .checked_sub(WANTED)
            .unwrap_or_else(Instant::now);
        let ahead = self.settings.models.iter().map(|model| PoolId {
            model: model.clone(),
            tier: Tier::Sampled,
        });
        let mut wanted: Vec<_> = ahead.chain(self.roster.wanted(since)).collect();
        wanted.sort();
        wanted.dedup();
        for pool in wanted {
            if self.catalog.get().model(&pool.model).is_some() && self.is_short(&pool) {
                self.open(pool).await;
            }
        }
    }

    fn is_short(&mut self, id: &PoolId) -> bool {
        let height = self.catalog.get().height;
        let mut fresh = self.roster.open(id);
        fresh.retain(|live| !is_worn(live, height));
        let is_opening =
            |stored: &Stored| stored.set.model == id.model && stored.set.tier == id.tier.name();
        if self.opening.iter().any(is_opening) {
            return false;
        }
        let pool = self.pools.entry(id.clone()).or_default();
        let target = pool
            .found
            .unwrap_or(1)
            .clamp(1, self.settings.nodes.max(1) as usize);
        let is_time = pool.not_before.is_none_or(|time| time <= Instant::now());
        fresh.len() < target && is_time
    }

    async fn open(&mut self, id: PoolId) {
        let opened = self.open_set(&id).await;
        let pool = self.pools.entry(id.clone()).or_default();
        let pause = match opened {
            Ok(_) => RETRY,
            Err(_) => SOON
                .saturating_mul(2_u32.saturating_pow(pool.failed))
                .min(RETRY),
        };
        pool.not_before = Some(Instant::now() + pause);
        match opened {
            Ok(sessions) => {
                pool.failed = 0;
                info!(
                    model = id.model,
                    tier = id.tier.name(),
                    sessions = sessions.len(),
                    "a set is opened"
                );
                pool.found = None;
                self.opening.extend(sessions);
                self.poverty(None);
            }
            Err(error) => {
                pool.failed = pool.failed.saturating_add(1);
                warn!(
                    model = id.model,
                    "no set of sessions can be opened: {error}"
                );
                if error.is_poverty() {
                    self.poverty(Some(error.to_string()));
                }
            }
        }
    }

    /// The set of a pool drew a node in quarantine; it was closed, and another set is opened later.
    pub(super) fn rejected(&mut self, id: &PoolId) {
        let pool = self.pools.entry(id.clone()).or_default();
        *pool.found.get_or_insert(0) += 1;
        let pause = RETRY.saturating_mul(2_u32.saturating_pow(pool.rejected));
        pool.not_before = Some(Instant::now() + pause.min(LONGEST));
        pool.rejected = pool.rejected.saturating_add(1);
    }

    fn poverty(&self, problem: Option<String>) {
        self.catalog
            .update(|snapshot| snapshot.is_poor = problem.is_some());
        self.health.set("funds", problem);
    }
}
