//! Finds a node for a request, and another one if the first is lost before it says anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use poq_client::session::RefusalCode;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::answer::{Answer, Done};
use super::follow::{Following, Outcome};
use super::{Failure, Relay};
use crate::ask::Ask;
use crate::keys::Hold;
use crate::pool::{Live, NoPlace, NotTaken, Placed, recover};
use crate::telemetry;

/// Other nodes that are asked after the first one, before an accept and after one each.
const OTHERS: usize = 2;
/// How long nodes are asked for an accept, all together.
const ORDERING: Duration = Duration::from_secs(12);

/// Answers a request; returns how it ended, and whether a node has taken it. What is held for it is free
/// when it returns.
pub(super) async fn run(
    relay: Arc<Relay>,
    ask: Ask,
    mut hold: Hold,
    answer: Arc<Answer>,
) -> (Result<Done, Failure>, bool) {
    let mut is_taken = false;
    let mut tried = BTreeSet::new();
    let mut lost = 0;
    loop {
        let (live, placed) = match relay.clone().order(&ask, &mut hold, &mut tried).await {
            Ok(found) => found,
            Err(failure) => return (Err(failure), is_taken),
        };
        is_taken = true;
        let following = Following {
            relay: &relay,
            live: &live,
            ask: &ask,
            answer: &answer,
            number: placed.number,
            ordered: &placed.ordered,
            chat: &placed.chat,
        };
        let is_first = tried.len() == 1;
        answer.taken(following.origin(), is_first.then_some(placed.sent));
        let order = (live.id, placed.number);
        let entry = (ask.asker.key, answer.clone());
        relay.writing().insert(order, entry);
        let outcome = following.follow(placed.frames).await;
        relay.writing().remove(&order);
        relay.roster_changed(&live);
        let is_again = |lost: usize| lost < OTHERS && answer.is_read();
        match outcome {
            Outcome::Ended(end) => return (end, is_taken),
            Outcome::Lost if (!ask.is_stream || answer.len() == 0) && is_again(lost) => {
                warn!(
                    session = live.id,
                    number = placed.number,
                    "a node was lost; another one is asked"
                );
                telemetry::failover();
                lost += 1;
            }
            Outcome::Lost => return (Err(Failure::Lost), is_taken),
        }
    }
}

impl Relay {
    /// Orders the answer with a node that was not tried.
    async fn order(
        self: Arc<Self>,
        ask: &Ask,
        hold: &mut Hold,
        tried: &mut BTreeSet<u64>,
    ) -> Result<(Arc<Live>, Placed), Failure> {
        if self.catalog.get().is_halted() {
            return Err(Failure::Halted);
        }
        let deadline = Instant::now() + ORDERING;
        let mut last = Failure::Busy;
        for _ in 0..=OTHERS {
            let found = timeout_at(deadline, self.roster.place(ask, tried)).await;
            let place = match found.unwrap_or(Err(NoPlace::Full)) {
                Ok(place) => place,
                Err(NoPlace::Opening) if self.catalog.get().is_poor => return Err(Failure::Poor),
                Err(NoPlace::Opening) => return Err(Failure::Opening),
                Err(NoPlace::Full) => return Err(Failure::Busy),
                Err(NoPlace::Misfit(misfit)) => return Err(misfit.into()),
                Err(NoPlace::Exhausted) => return Err(last),
            };
            // The session may have been opened when prices were higher.
            hold.cover(place.ordered.ceiling)?;
            let live = place.live.clone();
            tried.insert(live.id);
            if matches!(last, Failure::NoNode(_)) {
                telemetry::failover();
            }
            let error = match live.order(&self.store, &place, ask).await {
                Ok(placed) => return Ok((live, placed)),
                Err(error) => error,
            };
            drop(place);
            recover(&live, &self.store, &self.roster);
            last = match error {
                NotTaken::Busy => Failure::Busy,
                NotTaken::Gone => Failure::NoNode("its session has ended".into()),
                NotTaken::Node(error) => Failure::NoNode(error.to_string()),
                NotTaken::Refused(refusal) => {
                    return Err(Failure::Declined {
                        is_quality: refusal.code == RefusalCode::Quality,
                        message: refusal.message,
                    });
                }
                NotTaken::Store(error) => {
                    tracing::error!("an order was not stored: {error}");
                    return Err(Failure::Internal);
                }
            };
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(last)
    }

    /// An answer has ended or was given up: places may be free, and the node may have to be asked.
    fn roster_changed(&self, live: &Arc<Live>) {
        live.acknowledge_soon();
        self.roster.make_room();
        recover(live, &self.store, &self.roster);
    }
}
