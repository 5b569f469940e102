//! Leaves sessions whose answers earn too little. A user can pick prompts that the judge scores low, and
//! then answers earn the floor alone; a node that computes the scores itself stops after a few of them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use poq_judge::{Judge, Panel, Recent};
use poq_proto::v1::{Finish, Model};
use poq_proto::{Leaf, PPM};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::chain::Chain;
use super::measure;
use super::orders::Desk;

/// Age from which the registry's evaluator models are read again.
const RENEWAL: Duration = Duration::from_secs(60);
/// Answers that may wait to be scored; further ones are not.
const QUEUE: usize = 64;

/// Session and number of an answer that has ended.
pub(super) type Answered = (u64, u64);

/// Where answers are handed to the watch.
pub(super) fn queue() -> (mpsc::Sender<Answered>, mpsc::Receiver<Answered>) {
    mpsc::channel(QUEUE)
}

/// What the last answers of a session earn, as parts of full pay.
#[derive(Debug, Default)]
pub(super) struct Pay {
    last: Recent,
    /// Set once the mean was too low: the session takes no more orders.
    pub(super) is_too_low: bool,
}

impl Pay {
    /// Takes in what an answer earns, ppm.
    fn add(&mut self, part: u32, least: u32) {
        let mean = self.last.add(part);
        self.is_too_low |= mean.is_some_and(|mean| mean < least);
    }
}

/// Scores answers beside the chain.
pub(super) struct Watch {
    /// The evaluator models' files.
    judge: Arc<Judge>,
    /// Reads the registry.
    chain: Arc<dyn Chain>,
    /// Id of the model.
    model: String,
    /// Least mean of the parts of full pay, ppm.
    min_pay: u32,
    /// What judges the model's answers, and when it was read.
    panel: Mutex<(Panel, Instant)>,
}

impl Watch {
    /// A watch with the files in `folder`.
    ///
    /// # Errors
    /// If the registry cannot be read, or one of its files is missing.
    pub(super) async fn open(
        folder: &Path,
        min_pay: u32,
        chain: Arc<dyn Chain>,
        model: &Model,
    ) -> anyhow::Result<Self> {
        let panel = chain.panel(&model.id).await?;
        let judge = Arc::new(Judge::new(folder));
        panel.load(&judge)?;
        Ok(Self {
            judge,
            chain,
            model: model.id.clone(),
            min_pay,
            panel: Mutex::new((panel, Instant::now())),
        })
    }

    /// Scores one answer after another, as long as there are any.
    pub(super) async fn run(self, desk: Arc<Desk>, mut answered: mpsc::Receiver<Answered>) {
        while let Some((session, number)) = answered.recv().await {
            if let Err(reason) = self.look(&desk, session, number).await {
                debug!(session, number, "not scored: {reason}");
            }
        }
    }

    async fn look(&self, desk: &Desk, id: u64, number: u64) -> Result<(), String> {
        let Some(session) = desk.find(id) else {
            return Ok(());
        };
        let receipt = session.lock().log.receipt(number);
        let Some(receipt) = receipt.filter(|one| one.finish != Finish::Void) else {
            return Ok(());
        };
        let quality = self.quality(desk, id, &receipt).await?;
        let terms = session.record.terms.unwrap_or_default();
        let rules = session.record.rules.unwrap_or_default();
        let floor = u64::from(rules.floor_share).min(PPM);
        let earned = terms.earned_part(receipt.min_quality, quality);
        let part = u32::try_from(floor + (PPM - floor) * earned / PPM).unwrap_or(u32::MAX);
        measure::pay(part);
        let mut state = session.lock();
        let was_too_low = state.pay.is_too_low;
        state.pay.add(part, self.min_pay);
        if state.pay.is_too_low && !was_too_low {
            warn!(
                session = id,
                last = ?state.pay.last,
                least = self.min_pay,
                "the last answers earn too little: the session takes no more orders"
            );
        }
        Ok(())
    }

    /// The quality that the chain would find, ppm.
    async fn quality(&self, desk: &Desk, session: u64, receipt: &Leaf) -> Result<u32, String> {
        if receipt.answer_bytes == 0 {
            return Ok(0);
        }
        let served = desk.journal.served(session, receipt.number).await;
        let served = served.map_err(|error| error.to_string())?;
        let served = served.ok_or("the session is over")?;
        let (judge, panel) = (self.judge.clone(), self.panel().await);
        let score = move || {
            let prompt = served.chat.scoring_text();
            let quality = panel.quality(&judge, &prompt, &served.answer);
            quality.map_err(|error| error.to_string())
        };
        let scored = tokio::task::spawn_blocking(score).await;
        scored.map_err(|error| error.to_string())?
    }

    /// The evaluator models, read again from time to time.
    async fn panel(&self) -> Panel {
        let known = self.lock().clone();
        if known.1.elapsed() < RENEWAL {
            return known.0;
        }
        match self.chain.panel(&self.model).await {
            Ok(panel) => {
                *self.lock() = (panel.clone(), Instant::now());
                panel
            }
            Err(error) => {
                debug!("the evaluator models are those of before: {error}");
                known.0
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Panel, Instant)> {
        self.panel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::testing::Parrot;
    use crate::stream::testing::{Played, SESSION, User, chat, watched_desk};

    #[test]
    fn pay_is_too_low_by_the_mean_of_the_last_answers() {
        let mut pay = Pay::default();
        for _ in 0..Recent::LAST - 1 {
            pay.add(100_000, 400_000);
        }
        assert!(!pay.is_too_low, "too few");
        // The mean is exactly the least.
        pay.add(2_500_000, 400_000);
        assert!(!pay.is_too_low);
        for _ in 0..Recent::LAST - 1 {
            pay.add(400_000, 400_000);
        }
        // The good one has left.
        pay.add(399_999, 400_000);
        assert!(pay.is_too_low);
        pay.add(PPM as u32, 400_000);
        assert!(pay.is_too_low, "there is no way back");
    }

    /// A panel without models finds no quality at all.
    async fn asks(min_pay: u32) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let parrot = Parrot::with_concurrency(99, 2);
        let chain = Played::new();
        let (sender, receiver) = queue();
        let desk = watched_desk(folder.path(), &parrot, &chain, sender).await;
        let watch = Watch {
            judge: Arc::new(Judge::new(folder.path())),
            chain,
            model: "m".into(),
            min_pay,
            panel: Mutex::new((Panel::default(), Instant::now())),
        };
        tokio::spawn(watch.run(desk.clone(), receiver));
        let mut user = User::new(SESSION);
        for _ in 0..Recent::LAST {
            let frames = desk.order(user.order(chat("Why?"))).await.unwrap();
            user.finished(frames).await;
        }
        let session = desk.find(SESSION).unwrap();
        while session.lock().pay.last.count() < Recent::LAST {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        desk.order(user.order(chat("Why?"))).await.is_ok()
    }

    #[tokio::test]
    async fn a_session_that_earns_too_little_takes_no_more_orders() {
        assert!(!asks(1).await);
        assert!(asks(0).await);
    }
}
