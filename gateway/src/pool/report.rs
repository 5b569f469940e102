//! What operators see of sessions.

use metrics::gauge;

use super::keeper::Keeper;
use super::open::Error;
use super::roster::PoolId;
use crate::ask::Tier;
use crate::store::sessions::State;

impl Keeper {
    /// Sets health and metrics. `problem` is why the last look at the chain failed.
    pub(super) fn report(&self, problem: Option<&Error>) {
        let missing: Vec<_> = self
            .settings
            .models
            .iter()
            .filter(|model| {
                let pool = PoolId {
                    model: (*model).clone(),
                    tier: Tier::Sampled,
                };
                self.roster.open(&pool).is_empty()
            })
            .map(String::as_str)
            .collect();
        let closed =
            (!missing.is_empty()).then(|| format!("no open session for {}", missing.join(", ")));
        self.health.set("sessions", closed);
        let snapshot = self.catalog.get();
        // Open sessions need no chain for a while.
        let halted = snapshot.is_halted().then(|| {
            let cause = problem.map_or_else(String::new, |problem| format!(": {problem}"));
            format!("no new block since height {}{cause}", snapshot.height)
        });
        self.health.set("chain", halted);
        gauge!("poq_gateway_quarantined_nodes").set(self.quarantined.len() as f64);
        let all = self.roster.all();
        let outstanding: u64 = all
            .iter()
            .map(|live| {
                let inner = live.inner();
                inner.book.authorized() - inner.book.amount()
            })
            .sum();
        gauge!("poq_gateway_outstanding_price").set(outstanding as f64);
        let open = all
            .iter()
            .filter(|live| live.inner().state == State::Open)
            .count();
        let figures = [
            ("opening", self.opening.len()),
            ("open", open),
            ("draining", all.len() - open),
            ("closed", self.closed.len()),
        ];
        for (status, count) in figures {
            gauge!("poq_gateway_sessions", "status" => status).set(count as f64);
        }
    }
}
