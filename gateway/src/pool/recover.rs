//! Finds out what a node has of a session after an order without an accept, an answer without a receipt,
//! or a restart.

use std::sync::Arc;
use std::time::Duration;

use poq_client::session::Frame;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::live::Live;
use super::roster::Roster;
use crate::money::{Ending, Fault, Resolved, Unproven, verify};
use crate::store::charges::Charge;
use crate::store::{self, Store, orders};
use crate::telemetry;
use crate::upstream::{self, Event};

/// How long a node has to say what it has. Later the session is drained, which costs at most what was
/// ordered and not acknowledged.
const PATIENCE: Duration = Duration::from_secs(120);
/// First and longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Longest silence in an answer that is fetched.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Node(#[from] upstream::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Receipt(#[from] Unproven),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("the node expects number {0}, which was never ordered before")]
    Numbers(u64),
    #[error("the answer has no receipt")]
    NoReceipt,
}

impl Error {
    /// Whether another attempt may find something else.
    fn is_lasting(&self) -> bool {
        matches!(self, Self::Receipt(_) | Self::Fault(_) | Self::Numbers(_))
    }

    /// A short name for metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Node(error) => error.reason(),
            Self::Store(_) => "store",
            Self::Receipt(_) | Self::Fault(_) => "invalid_receipt",
            Self::Numbers(_) => "numbers",
            Self::NoReceipt => "no_receipt",
        }
    }
}

/// Starts to clear up a session, unless that is under way.
pub(crate) fn recover(live: &Arc<Live>, store: &Arc<Store>, roster: &Arc<Roster>) {
    let mut inner = live.inner();
    if inner.is_recovering || inner.is_hopeless || !inner.is_unclear() {
        return;
    }
    inner.is_recovering = true;
    drop(inner);
    let (live, store, roster) = (live.clone(), store.clone(), roster.clone());
    tokio::spawn(async move {
        clear_up(&live, &store, &roster).await;
        live.inner().is_recovering = false;
        live.answered.notify_one();
        roster.room.notify_waiters();
    });
}

async fn clear_up(live: &Arc<Live>, store: &Arc<Store>, roster: &Roster) {
    let deadline = Instant::now() + PATIENCE;
    let (mut pause, longest) = PAUSE;
    while live.inner().is_unclear() {
        let Err(error) = attempt(live, store).await else {
            continue;
        };
        telemetry::node_error(error.reason());
        if error.is_lasting() || Instant::now() + pause > deadline {
            warn!(session = live.id, "the session cannot go on: {error}");
            live.inner().is_hopeless = error.is_lasting();
            live.leave(store);
            if matches!(error, Error::Receipt(_) | Error::Fault(_)) {
                roster.quarantine(live.operator(), &error.to_string(), store);
            }
            return;
        }
        debug!(session = live.id, "the session is not clear yet: {error}");
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

async fn attempt(live: &Live, store: &Store) -> Result<(), Error> {
    if live.inner().book.is_in_doubt() {
        let state = live.node.state().await?;
        let mut inner = live.inner();
        match inner.book.resolve(state.next) {
            Some(Resolved::Taken(number)) => {
                inner.orphans.insert(number);
            }
            Some(Resolved::Unseen) => {}
            None => return Err(Error::Numbers(state.next)),
        }
    }
    let orphans = live.inner().orphans.clone();
    for number in orphans {
        fetch(live, store, number).await?;
        live.inner().orphans.remove(&number);
    }
    Ok(())
}

/// Ends an answer that nobody reads, and takes its receipt into the account at the gateway's own cost.
async fn fetch(live: &Live, store: &Store, number: u64) -> Result<(), Error> {
    // An answer that has ended cannot be stopped, and need not be.
    if let Err(error) = live.node.stop(number).await
        && error.refusal().is_none()
    {
        return Err(error.into());
    }
    let (ending, text) = read(live, number).await?;
    live.inner().book.check(&ending.leaf)?;
    info!(
        session = live.id,
        number,
        price = ending.leaf.price,
        "an answer that nobody reads has ended"
    );
    let (id, stored) = (live.id, ending.clone());
    store
        .write(move |db| orders::finish(db, id, &stored, (None, &text), Charge::NOBODY))
        .await?;
    live.inner().book.receive(ending.leaf)?;
    Ok(())
}

async fn read(live: &Live, number: u64) -> Result<(Ending, String), Error> {
    let mut frames = live.node.read(number, 0).await?;
    let mut text = String::new();
    let most = live.rules().max_answer_bytes as usize;
    loop {
        let event = timeout(SILENCE, frames.next()).await;
        match event.map_err(|_| upstream::Error::Late)?? {
            Some(Event::Alive | Event::Frame(Frame::Accept { .. })) => {}
            Some(Event::Frame(Frame::Text { delta, .. })) if text.len() + delta.len() <= most => {
                text.push_str(&delta);
            }
            Some(Event::Frame(Frame::Text { .. })) => {
                return Err(upstream::Error::Garbled("the answer is too long".into()).into());
            }
            Some(Event::Frame(Frame::Receipt { leaf, signature })) => {
                let by = live.node.identity();
                let by = (&*by.chain_id, live.id, by.node_key.as_slice());
                return Ok((verify((&leaf, &signature), &text, by)?, text));
            }
            Some(Event::Frame(Frame::Error(refusal))) => {
                return Err(upstream::Error::Refused(refusal).into());
            }
            None => return Err(Error::NoReceipt),
        }
    }
}
