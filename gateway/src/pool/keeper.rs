//! Keeps an open set of sessions for every pool that is wanted, and ends the used ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use poq_client::Key;
use poq_proto::v1::{self, SessionStatus};
use poq_worker::Health;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::acknowledge::acknowledge;
use super::catalog::Catalog;
use super::live::Live;
use super::open::{Error, pool_of};
use super::recover::recover;
use super::roster::{PoolId, Roster};
use crate::chain::Chain;
use crate::store::sessions::{self, State, Stored};
use crate::store::{Store, now, orders, quarantine};
use crate::telemetry;

/// Pause between two looks at the chain while something is expected, and otherwise.
const LOOK: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(1));
/// Pause between two looks at registry, parameters and the records of open sessions.
const REFRESH: Duration = Duration::from_secs(15);
/// Pause between two looks whether the store can be written.
const CHECK: Duration = Duration::from_secs(5);
/// How long a session is drained before it is closed with open answers. An answer takes at most five
/// minutes.
const DRAIN: Duration = Duration::from_secs(330);
/// Part of escrow and blocks after which a set is replaced, percent.
const WORN: u64 = 70;

/// How sessions are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Models whose sessions are opened ahead of requests.
    pub models: Vec<String>,
    /// Sessions in a set.
    pub nodes: u32,
    /// Base units for each.
    pub escrow: u64,
    /// Blocks for which they take orders.
    pub blocks: u64,
    /// Whether nodes may be on private addresses.
    pub allow_private: bool,
}

/// A pool as the keeper sees it.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Sessions of its newest set that found a node; None before the first set.
    pub found: Option<usize>,
    /// No set is opened before.
    pub not_before: Option<Instant>,
    /// Sessions with nodes in quarantine since the last one with another node.
    pub rejected: u32,
    /// Sets that could not be opened since the last one that could.
    pub failed: u32,
}

/// The task that opens and closes sessions.
pub(crate) struct Keeper {
    pub(super) chain: Arc<dyn Chain>,
    pub(super) account: Key,
    pub(super) store: Arc<Store>,
    pub(super) roster: Arc<Roster>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) settings: Settings,
    pub(super) opening: Vec<Stored>,
    pub(super) closed: Vec<Stored>,
    pub(super) health: Health,
    pub(super) pools: BTreeMap<PoolId, Pool>,
    /// Operators of nodes in quarantine.
    pub(super) quarantined: BTreeSet<String>,
    refreshed: Option<Instant>,
    checked: Option<Instant>,
}

impl Keeper {
    /// A keeper that has not looked at anything yet.
    pub(crate) fn new(
        chain: Arc<dyn Chain>,
        account: Key,
        store: Arc<Store>,
        (roster, catalog): (Arc<Roster>, Arc<Catalog>),
        settings: Settings,
        health: Health,
    ) -> Self {
        Self {
            chain,
            account,
            store,
            roster,
            catalog,
            settings,
            opening: Vec::new(),
            closed: Vec::new(),
            health,
            pools: BTreeMap::new(),
            quarantined: BTreeSet::new(),
            refreshed: None,
            checked: None,
        }
    }

    /// Works until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut is_taken_up = false;
        // What is logged already: an outage is two lines, however long it is.
        let mut known = None;
        self.report(None);
        while !shutdown.is_cancelled() {
            self.health.beat();
            self.check_store().await;
            let step = async {
                if !is_taken_up {
                    self.take_up().await?;
                    is_taken_up = true;
                }
                self.step().await
            };
            let problem = step.await.err();
            self.report(problem.as_ref());
            let problem = problem.map(|problem| problem.to_string());
            if problem != known {
                match &problem {
                    Some(problem) => warn!("sessions are not kept at the moment: {problem}"),
                    None => info!("sessions are kept again"),
                }
                known = problem;
            }
            let pause = if self.opening.is_empty() {
                LOOK.1
            } else {
                LOOK.0
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = timeout(pause, self.roster.need.notified()) => {
                    // Requests can ask for more at any rate.
                    sleep(LOOK.0).await;
                }
            }
        }
    }

    async fn check_store(&mut self) {
        if self.checked.is_none_or(|last| last.elapsed() > CHECK) {
            let problem = self.store.check().await.err();
            self.health
                .set("store", problem.map(|problem| problem.to_string()));
            self.checked = Some(Instant::now());
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        let height = self.chain.height().await?;
        self.catalog.update(|snapshot| {
            if height > snapshot.height {
                (snapshot.height, snapshot.seen) = (height, Instant::now());
            }
        });
        self.avoid_quarantined()?;
        self.look_at_opening().await?;
        if self.refreshed.is_none_or(|last| last.elapsed() > REFRESH) {
            self.refresh().await?;
            self.refreshed = Some(Instant::now());
        }
        self.retire(height).await;
        self.fill().await;
        Ok(())
    }

    /// Takes no orders to nodes that are in quarantine, also by what an earlier process found out.
    fn avoid_quarantined(&mut self) -> Result<(), Error> {
        let found = self.store.read(|db| quarantine::list(db, now()))?;
        self.quarantined = found.into_iter().map(|node| node.operator).collect();
        for live in self.roster.all() {
            if self.quarantined.contains(live.operator()) {
                live.leave(&self.store);
            }
        }
        Ok(())
    }

    /// Uses the sessions whose node is drawn.
    async fn look_at_opening(&mut self) -> Result<(), Error> {
        for mut stored in std::mem::take(&mut self.opening) {
            let id = stored.record.id;
            match self.chain.session(id).await {
                Ok(Some(record)) => stored.record = record,
                Ok(None) => {}
                Err(error) => {
                    self.opening.push(stored);
                    return Err(error.into());
                }
            }
            match stored.record.status() {
                SessionStatus::Opening | SessionStatus::Unspecified => self.opening.push(stored),
                SessionStatus::Open => self.use_session(stored).await?,
                _ => {
                    info!(session = id, "a session found no node");
                    self.closed.push(stored);
                }
            }
        }
        Ok(())
    }

    async fn use_session(&mut self, mut stored: Stored) -> Result<(), Error> {
        let node = stored.record.node.as_ref();
        if let Some(node) = node.filter(|node| self.quarantined.contains(&node.operator)) {
            info!(
                session = stored.record.id,
                node = node.operator,
                "a session is closed because its node is in quarantine"
            );
            let pool = pool_of(&stored.set)?;
            self.close(vec![stored]).await;
            self.rejected(&pool);
            return Ok(());
        }
        stored.state = State::Open;
        let (set, record) = (stored.set.id, stored.record.clone());
        let put = move |db: &rusqlite::Connection| sessions::put(db, set, &record, State::Open);
        self.store.write(put).await?;
        match self.connect(stored.clone()).await {
            Ok(live) => {
                info!(
                    session = live.id,
                    node = live.operator(),
                    model = live.pool.model,
                    "a session is open"
                );
                let pool = self.pools.entry(live.pool.clone()).or_default();
                *pool.found.get_or_insert(0) += 1;
                pool.rejected = 0;
                self.roster.add(live);
                Ok(())
            }
            Err(error) if error.is_lasting() => {
                warn!(
                    session = stored.record.id,
                    "a session cannot be used: {error}"
                );
                self.close(vec![stored]).await;
                Ok(())
            }
            Err(error) => {
                self.opening.push(stored);
                Err(error)
            }
        }
    }

    /// Reads what changes seldom.
    async fn refresh(&mut self) -> Result<(), Error> {
        let params = self.chain.params().await?;
        let models = self.chain.models().await?;
        let models = models.into_iter().map(|model| (model.id.clone(), model));
        let models = models.collect();
        self.catalog.update(|snapshot| {
            (snapshot.params, snapshot.models) = (params, models);
        });
        self.find_lost_sets().await?;
        for live in self.roster.all() {
            let Some(record) = self.chain.session(live.id).await? else {
                continue;
            };
            if record.status() != SessionStatus::Open {
                info!(
                    session = live.id,
                    status = record.status().as_str_name(),
                    "a session has ended"
                );
                self.gone(&live, record).await;
            }
        }
        for mut stored in std::mem::take(&mut self.closed) {
            match self.chain.session(stored.record.id).await? {
                Some(record) if is_over(record.status()) => self.end(record).await?,
                Some(record) => {
                    stored.record = record;
                    self.closed.push(stored);
                }
                None => self.closed.push(stored),
            }
        }
        Ok(())
    }

    async fn end(&self, record: v1::Session) -> Result<(), Error> {
        let leaves = self.store.read(|db| orders::leaves(db, record.id))?;
        let stored = record.clone();
        self.store
            .write(move |db| sessions::end(db, &stored))
            .await?;
        telemetry::session_ended(&record, leaves.iter().map(|leaf| leaf.price).sum());
        Ok(())
    }

    /// The chain takes no more orders in a session: its node may still want the last acknowledgement.
    async fn gone(&mut self, live: &Arc<Live>, record: v1::Session) {
        live.leave(&self.store);
        let is_acknowledged = acknowledge(live, &self.store).await.is_ok();
        if record.status() == SessionStatus::Closing && !is_acknowledged {
            return;
        }
        if record.status() == SessionStatus::Closing && !live.inner().book.is_settled() {
            return;
        }
        self.remove(live, record).await;
    }

    async fn remove(&mut self, live: &Arc<Live>, record: v1::Session) {
        self.roster.remove(live.id);
        live.inner().state = State::Closed;
        live.answered.notify_one();
        let id = live.id;
        let stored = self.store.read(|db| sessions::find(db, id));
        let marked = self
            .store
            .write(move |db| sessions::set_state(db, id, State::Closed));
        match (marked.await, stored) {
            (Ok(()), Ok(Some(stored))) => self.closed.push(Stored {
                record,
                state: State::Closed,
                ..stored
            }),
            (Err(error), _) | (_, Err(error)) => warn!(session = id, "not stored: {error}"),
            (Ok(()), Ok(None)) => {}
        }
    }

    /// Drains used sessions once others can take their place, and closes drained ones.
    async fn retire(&mut self, height: u64) {
        let mut finished = Vec::new();
        for live in self.roster.all() {
            recover(&live, &self.store, &self.roster);
            let has_successor = {
                let open = self.roster.open(&live.pool);
                open.iter().any(|other| !is_worn(other, height))
            };
            let is_at_end = height.saturating_add(1) >= live.ends_at();
            if is_at_end || (is_worn(&live, height) && has_successor) {
                live.leave(&self.store);
            }
            let since = live.inner().draining_since;
            let is_late = since.is_some_and(|since| since.elapsed() > DRAIN);
            let is_done = live.is_settled() || is_late;
            if since.is_none() || !is_done {
                if since.is_some() {
                    // Not later than a second from now, so that nothing is left to burn.
                    live.answered.notify_one();
                }
                continue;
            }
            finished.push(live);
        }
        if finished.is_empty() {
            return;
        }
        let ids = finished.iter().map(|live| live.id).collect();
        info!(?ids, "drained sessions are closed");
        if let Err(error) = self.chain.close(ids).await {
            warn!("sessions cannot be closed: {error}");
            return;
        }
        for live in finished {
            let record = live.record.clone();
            self.remove(&live, record).await;
        }
    }

    /// Closes sessions that cannot be used.
    pub(super) async fn close(&mut self, unusable: Vec<Stored>) {
        let ids = unusable.iter().map(|stored| stored.record.id).collect();
        if let Err(error) = self.chain.close(ids).await {
            // They end by themselves after their blocks.
            warn!("sessions cannot be closed: {error}");
        }
        for stored in unusable {
            let id = stored.record.id;
            self.store
                .note(move |db| sessions::set_state(db, id, State::Closed));
            self.closed.push(stored);
        }
    }
}

/// Whether a session should be replaced.
pub(super) fn is_worn(live: &Live, height: u64) -> bool {
    let authorized = live.inner().book.authorized();
    let is_spent = authorized.saturating_mul(100) >= live.record.escrow.saturating_mul(WORN);
    let left = live.ends_at().saturating_sub(height);
    let is_old = left.saturating_mul(100) <= live.record.blocks.saturating_mul(100 - WORN);
    is_spent || is_old
}

fn is_over(status: SessionStatus) -> bool {
    matches!(status, SessionStatus::Final | SessionStatus::Refunded)
}
