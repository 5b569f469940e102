//! What the gateway does with its own scores.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use tokio::time::{Duration, sleep, timeout};

use super::operators::quarantined;
use super::world::{SOON, World, question, streamed};
use crate::pool::Roster;
use crate::quality::{Answered, Estimates, Score};
use crate::store::{Store, orders};

/// A node whose answers are worse comes into quarantine, ppm.
const LEAST: u32 = 300_000;

/// Estimates that end with the gateway's process.
pub(super) fn estimates(process: &Runtime, judged: (Arc<Store>, Arc<Roster>)) -> Estimates {
    let _inside = process.enter();
    Estimates::start(Arc::new(PlayedScore), LEAST, judged)
}

/// Scores by what is asked.
struct PlayedScore;

#[async_trait]
impl Score for PlayedScore {
    async fn quality(&self, answered: &Answered) -> Result<u32, String> {
        match answered.prompt.as_str() {
            "Bad?" => Ok(200_000),
            "Unreadable?" => Err("it has no score".into()),
            _ => Ok(900_000),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_has_an_estimate_soon() {
    let world = World::with_nodes(1).await;
    for body in [question("Why?"), streamed("Why?")] {
        let answered = world.ask(&body).await;
        let id = answered.headers["x-poq-receipt"].to_str().unwrap();
        let scored = async {
            loop {
                let found = world.get(&format!("/v1/receipts/{id}")).await.json();
                if !found["quality"]["estimate"].is_null() {
                    break found;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let found = timeout(SOON, scored).await.unwrap();
        assert_eq!(found["quality"]["estimate"], 0.9);
        assert_eq!(found["quality"]["own"], serde_json::Value::Null);
    }
    let unread = world.ask(&question("Unreadable?")).await;
    let id = unread.headers["x-poq-receipt"].to_str().unwrap();
    let found = world.get(&format!("/v1/receipts/{id}")).await.json();
    assert!(found["quality"]["estimate"].is_null());
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_poor_answers_is_left() {
    let world = World::with_nodes(2).await;
    let mut asked = 0;
    while quarantined(&world).is_empty() {
        let answered = world.ask_patiently(&question("Bad?")).await;
        if answered.status != StatusCode::OK {
            assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
            break;
        }
        asked += 1;
    }
    // Eight of one node; each of the two may have seven before.
    assert!((8..=20).contains(&asked), "{asked}");
    world.until(|world| !quarantined(world).is_empty()).await;
}

/// The texts of an answer are kept while its session is open, for whoever wants to score it.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_has_both_texts() {
    let world = World::with_nodes(1).await;
    let answered = world.ask(&question("Why?")).await.json();
    let leaf: poq_proto::v1::Leaf =
        serde_json::from_value(answered["poq"]["leaf"].clone()).unwrap();
    let session = answered["poq"]["receipt"].as_str().unwrap();
    let session = session.split_once('-').unwrap().0.parse().unwrap();
    let (chat, text) = world
        .store
        .read(|db| {
            let chat = orders::chat(db, session, leaf.number)?;
            Ok((chat, orders::text(db, session, leaf.number)?))
        })
        .unwrap();
    assert_eq!(chat.unwrap().digest().to_vec(), leaf.request);
    assert_eq!(Sha256::digest(text.unwrap()).to_vec(), leaf.answer);
}
