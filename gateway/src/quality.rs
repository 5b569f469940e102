//! Scores answers beside the chain: receipts have an estimate long before the chain draws anything, and
//! nodes whose answers are poor are left.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use poq_judge::{Judge, Panel, Recent};
use poq_proto::PPM;
use tokio::sync::{Mutex, mpsc};
use tracing::debug;

use crate::chain::Chain;
use crate::pool::Roster;
use crate::store::{Store, receipts};
use crate::telemetry;

/// Answers that may wait to be scored; further ones are not.
const QUEUE: usize = 256;
/// Age from which a model's evaluator models are read again.
const RENEWAL: Duration = Duration::from_secs(60);

/// An answer with text that has its receipt.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// Session and number.
    pub order: (u64, u64),
    /// Address of the node's operator.
    pub operator: String,
    /// Id of the model.
    pub model: String,
    /// The chat's scoring text.
    pub prompt: String,
    /// The answer.
    pub answer: String,
}

/// Finds qualities.
#[async_trait]
pub(crate) trait Score: Send + Sync {
    /// The quality that the chain would find, ppm.
    ///
    /// # Errors
    /// Why there is none, as a message.
    async fn quality(&self, answered: &Answered) -> Result<u32, String>;
}

/// Where answers are handed in to be scored; by default they are not.
#[derive(Default)]
pub(crate) struct Estimates(Option<mpsc::Sender<Answered>>);

impl Estimates {
    /// Scores one answer after another. A node whose last answers have a mean quality below `least`, ppm,
    /// comes into quarantine.
    pub(crate) fn start(
        score: Arc<dyn Score>,
        least: u32,
        (store, roster): (Arc<Store>, Arc<Roster>),
    ) -> Self {
        let (sender, mut answers) = mpsc::channel::<Answered>(QUEUE);
        tokio::spawn(async move {
            let mut nodes: HashMap<String, Recent> = HashMap::new();
            while let Some(answered) = answers.recv().await {
                let quality = match score.quality(&answered).await {
                    Ok(quality) => quality,
                    Err(reason) => {
                        debug!(order = ?answered.order, "not scored: {reason}");
                        continue;
                    }
                };
                telemetry::estimate(quality);
                let order = answered.order;
                store.note(move |db| receipts::estimate(db, order, quality));
                let last = nodes.entry(answered.operator.clone()).or_default();
                if let Some(mean) = last.add(quality).filter(|mean| *mean < least) {
                    let part = |ppm: u32| f64::from(ppm) / PPM as f64;
                    let (mean, least) = (part(mean), part(least));
                    let reason = format!(
                        "its last {} answers have a mean quality of {mean:.2}, below {least}",
                        Recent::LAST
                    );
                    roster.quarantine(&answered.operator, &reason, &store);
                    *last = Recent::default();
                }
            }
        });
        Self(Some(sender))
    }

    /// Hands an answer in. It is not scored while too many wait.
    pub(crate) fn take(&self, answered: impl FnOnce() -> Answered) {
        if let Some(queue) = &self.0 {
            let _ = queue.try_send(answered());
        }
    }
}

/// Scores with the evaluator models that the chain's registry names.
pub(crate) struct Registered {
    judge: Arc<Judge>,
    chain: Arc<dyn Chain>,
    /// Evaluator models by language model, and when they were read.
    panels: Mutex<HashMap<String, (Panel, Instant)>>,
}

impl Registered {
    /// Scores with the files that `judge` finds.
    pub(crate) fn new(judge: Judge, chain: Arc<dyn Chain>) -> Self {
        Self {
            judge: Arc::new(judge),
            chain,
            panels: Mutex::default(),
        }
    }

    async fn panel(&self, model: &str) -> Result<Panel, String> {
        let mut panels = self.panels.lock().await;
        if let Some((panel, read)) = panels.get(model)
            && read.elapsed() < RENEWAL
        {
            return Ok(panel.clone());
        }
        let panel = self.chain.panel(model).await;
        let panel = panel.map_err(|error| error.to_string())?;
        panels.insert(model.to_owned(), (panel.clone(), Instant::now()));
        Ok(panel)
    }
}

#[async_trait]
impl Score for Registered {
    async fn quality(&self, answered: &Answered) -> Result<u32, String> {
        let (judge, panel) = (self.judge.clone(), self.panel(&answered.model).await?);
        let Answered { prompt, answer, .. } = answered.clone();
        let score = move || {
            let quality = panel.quality(&judge, &prompt, &answer);
            quality.map_err(|error| error.to_string())
        };
        let scored = tokio::task::spawn_blocking(score).await;
        scored.map_err(|error| error.to_string())?
    }
}
