//! What operators see of sessions.

use metrics::gauge;

use super::keeper::Keeper;
use super::roster::PoolId;
use crate::ask::Tier;
use crate::store::sessions::State;

impl Keeper {
    /// Sets health and metrics.
    pub(super) fn report(&self) {
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
        let problem =
            (!missing.is_empty()).then(|| format!("no open session for {}", missing.join(", ")));
        self.health.set("sessions", problem);
        let snapshot = self.catalog.get();
        let halted = snapshot
            .is_halted()
            .then(|| format!("no block since height {}", snapshot.height));
        self.health.set("blocks", halted);
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
