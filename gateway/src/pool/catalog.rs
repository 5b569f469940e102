//! What the gateway knows of the chain without asking it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use poq_proto::v1::{Model, Params, SessionRules};

/// How old the newest block may be before no new answers are ordered.
const HALTED: Duration = Duration::from_secs(60);

/// The newest registry, parameters and height.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Models by id.
    pub models: BTreeMap<String, Model>,
    /// The parameters.
    pub params: Params,
    /// Height of the newest block.
    pub height: u64,
    /// When it was first seen.
    pub seen: Instant,
    /// Whether the account could not pay for the newest sessions.
    pub is_poor: bool,
}

impl Snapshot {
    /// A model that may be asked.
    pub(crate) fn model(&self, id: &str) -> Option<&Model> {
        self.models.get(id).filter(|model| !model.deprecated)
    }

    /// Whether the chain makes no blocks.
    pub(crate) fn is_halted(&self) -> bool {
        self.seen.elapsed() > HALTED
    }

    /// The rules that a session of a model would be opened under, as far as orders depend on them.
    pub(crate) fn rules(&self, model: &Model) -> SessionRules {
        let params = &self.params;
        let sessions = params.sessions.unwrap_or_default();
        SessionRules {
            max_prompt_bytes: model.longest_prompt(params),
            max_answer_bytes: params.max_answer_bytes,
            max_order_price: sessions.max_order_price,
            ..SessionRules::default()
        }
    }
}

/// Shares the newest [`Snapshot`].
pub(crate) struct Catalog(RwLock<Arc<Snapshot>>);

impl Catalog {
    /// With a first snapshot.
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self(RwLock::new(Arc::new(snapshot)))
    }

    /// The newest snapshot.
    pub(crate) fn get(&self) -> Arc<Snapshot> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut shared));
    }
}
