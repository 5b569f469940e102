//! Figures, on demand: `cargo test --workspace --bin poq-gateway first_token -- --ignored --nocapture`.

use std::time::Duration;

use futures::future::join_all;
use poq_testnet::{Chat, Failure};

use super::world::{MODEL, World};

/// Answers in each measurement.
const ANSWERS: usize = 2_000;
/// Tokens of an answer, which bound its price.
const TOKENS: u32 = 16;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn time_until_the_first_token_of_nodes_that_need_none() {
    let world = World::with_nodes(2).await;
    for node in &world.nodes {
        node.allow(64);
    }
    let chat = Chat {
        address: world.serve_at().await.to_string(),
        key: Some(world.key.clone()),
        model: MODEL.into(),
    };
    println!("{}", poq_client::machine());
    println!("streams at once: median, 90 %, 99 % of {ANSWERS} answers, ms");
    for streams in [1, 10, 50] {
        // Windows begin small.
        for _ in 0..8 {
            ask(&chat, streams).await;
        }
        let mut times: Vec<Duration> = Vec::new();
        while times.len() < ANSWERS {
            times.extend(ask(&chat, streams).await);
        }
        times.sort();
        let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e3;
        println!("{streams}: {:.1}, {:.1}, {:.1}", at(50), at(90), at(99));
    }
}

/// The times of so many answers at once. Refusals of busy nodes are not answers.
async fn ask(chat: &Chat, streams: usize) -> Vec<Duration> {
    let asked = (0..streams).map(async |number| {
        let question = format!("Question {number}?");
        match chat.ask(&question, Some(TOKENS), |_| {}).await {
            Ok(said) => Some(said.first_token),
            Err(Failure::Refused { status: 429, .. }) => None,
            Err(failure) => panic!("{failure}"),
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}
