//! Nodes that refuse, break, lie or die, and clients that leave or repeat themselves.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::StreamExt;
use poq_client::session::RefusalCode;
use poq_proto::v1::SessionStatus;
use serde_json::{Value, json};

use super::world::{SOON, World, question, streamed};
use crate::played::{Behaviour, PlayedNode};
use crate::relay::Timing;

fn all(world: &World, behaviour: Behaviour) {
    for node in &world.nodes {
        node.script(&[behaviour]);
    }
}

fn orders(world: &World) -> usize {
    world.nodes.iter().map(PlayedNode::orders).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_answers_when_one_is_busy_or_breaks_before_its_accept() {
    for behaviour in [
        Behaviour::Refuse(RefusalCode::Busy),
        Behaviour::Refuse(RefusalCode::Failed),
        Behaviour::SwallowAccept,
        Behaviour::SwallowOrder,
    ] {
        let world = World::with_nodes(2).await;
        for number in 0..6 {
            // Whichever node is asked first does it once.
            if number % 2 == 0 {
                world.nodes[0].script(&[behaviour]);
            }
            let answered = world.ask(&streamed(&format!("question {number}"))).await;
            assert!(
                answered.streamed().ends_with(&format!("question {number}")),
                "{behaviour:?}"
            );
        }
        let given_away = world.nodes.iter().map(|node| node.account().2).sum::<u64>();
        assert!(given_away <= 6 * 500_000);
        // What a node took without saying so is acknowledged at the gateway's cost.
        world
            .until(|world| {
                world
                    .roster
                    .all()
                    .iter()
                    .all(|live| !live.inner().is_unclear())
            })
            .await;
        world
            .until(|world| {
                world
                    .nodes
                    .iter()
                    .map(PlayedNode::account)
                    .all(|(written, acknowledged, _)| written == acknowledged)
            })
            .await;
        let amount: u64 = world.nodes.iter().map(|node| node.account().2).sum();
        assert!(world.charged() <= amount);
        if behaviour != Behaviour::SwallowAccept {
            assert_eq!(world.charged(), amount);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_busy_nodes_are_a_429_and_what_no_node_takes_is_said() {
    let world = World::with_nodes(2).await;
    for (refusal, status, code) in [
        (RefusalCode::Busy, 429, "nodes_busy"),
        (RefusalCode::Failed, 503, "no_node"),
        (RefusalCode::Quality, 403, "quality_declined"),
        (RefusalCode::Chat, 400, "context_length_exceeded"),
    ] {
        all(&world, Behaviour::Refuse(refusal));
        let answered = world.ask(&question("Why?")).await;
        assert_eq!(
            (answered.status.as_u16(), answered.code()),
            (status, code.into())
        );
        assert_eq!(
            answered.headers.contains_key("retry-after"),
            status == 429 || status == 503
        );
        // Rest, and what is left of the script.
        tokio::time::sleep(Duration::from_millis(600)).await;
        while orders_left(&world).await {}
    }
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    world.settle(0).await;
}

/// Uses up what a script has left; returns whether there was something.
async fn orders_left(world: &World) -> bool {
    let answered = world.ask(&question("left?")).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    answered.status != StatusCode::OK
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_goes_on_where_it_broke() {
    let world = World::with_nodes(1).await;
    world.nodes[0].script(&[Behaviour::Cut(9)]);
    let answered = world.ask(&streamed("one two three four")).await;
    assert_eq!(answered.streamed(), "poq1node0 says: one two three four");
    assert_eq!(orders(&world), 1, "it is the same answer");
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_before_its_first_word_is_replaced() {
    for body in [streamed("Why?"), question("Why?")] {
        let world = World::with_nodes(2).await;
        all(&world, Behaviour::Die(0));
        let first = world.ask(&body).await;
        // Both died: the client gets no text, and pays nothing.
        assert!(
            first.text.contains("node_lost")
                || first.text.contains("no_node")
                || first.text.contains("nodes_busy"),
            "{}",
            first.text
        );
        assert_eq!(world.charged(), 0);

        let world = World::with_nodes(2).await;
        let asked_first = asked_first(&world).await;
        world.nodes[asked_first].script(&[Behaviour::Die(0)]);
        let answered = world.ask(&body).await;
        assert!(
            answered.text.contains("says: Why?") || answered.streamed().ends_with("says: Why?")
        );
        assert!(world.charged() > 0);
        world.nodes[asked_first].revive();
        world
            .until(|world| {
                world
                    .roster
                    .all()
                    .iter()
                    .all(|live| !live.inner().is_unclear())
            })
            .await;
    }
}

/// The node that gets the question "Why?" first.
pub(super) async fn asked_first(world: &World) -> usize {
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    world.settle(0).await;
    world
        .nodes
        .iter()
        .position(|node| node.orders() == 1)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_later_ends_a_stream_and_never_another_text_follows() {
    let world = World::with_nodes(2).await;
    let first = asked_first(&world).await;
    let charged = world.charged();
    world.nodes[first].script(&[Behaviour::Die(5)]);
    let answered = world.ask(&streamed("Why?")).await;
    let chunks = answered.chunks();
    assert_eq!(chunks.last().unwrap()["error"]["code"], "node_lost");
    assert_eq!(answered.streamed(), "poq1n");
    assert_eq!(world.charged(), charged, "the client pays nothing");
    // The node comes back and shows the answer: the gateway acknowledges it at its own cost.
    world.nodes[first].revive();
    world
        .until(|world| world.nodes[first].account().1 == 2)
        .await;
    assert_eq!(world.charged(), charged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_starts_again_on_another_node() {
    let world = World::with_nodes(2).await;
    let first = asked_first(&world).await;
    world.nodes[first].script(&[Behaviour::Die(5)]);
    let answered = world.ask(&question("Why?")).await;
    let body = answered.json();
    let other = &world.nodes[1 - first].operator;
    assert_eq!(
        body["choices"][0]["message"]["content"],
        format!("{other} says: Why?")
    );
    assert_eq!(body["poq"]["node"], **other);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_does_not_serve_is_asked_elsewhere() {
    let world = World::with_nodes(2).await;
    let first = asked_first(&world).await;
    world.nodes[first].script(&[Behaviour::Void]);
    let answered = world.ask(&streamed("Why?")).await;
    let other = &world.nodes[1 - first].operator;
    assert_eq!(answered.streamed(), format!("{other} says: Why?"));
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_proves_nothing_is_an_error_and_ends_the_session() {
    for behaviour in [
        Behaviour::WrongPrice,
        Behaviour::WrongText,
        Behaviour::WrongKey,
    ] {
        let world = World::with_nodes(2).await;
        let liar = asked_first(&world).await;
        let charged = world.charged();
        world.nodes[liar].script(&[behaviour]);
        let answered = world.ask(&streamed("Why?")).await;
        let chunks = answered.chunks();
        assert_eq!(
            chunks.last().unwrap()["error"]["code"],
            "invalid_receipt",
            "{behaviour:?}"
        );
        assert_eq!(world.charged(), charged);
        let other = &*world.nodes[1 - liar].operator;
        for _ in 0..3 {
            let answered = world.ask(&question("Why?")).await;
            assert_eq!(answered.status, StatusCode::OK);
            assert_eq!(answered.headers["x-poq-node"], other);
        }
        world
            .until(|world| {
                let mut records = world.chain.records().into_iter();
                records.any(|record| {
                    let node = record.node.as_ref().unwrap();
                    node.operator != other && record.status() == SessionStatus::Closing
                })
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_a_client_that_left_is_stopped_and_charged() {
    let world = World::with_timing(1, patient()).await;
    world.nodes[0].script(&[Behaviour::Endless]);
    let response = world.begin(world.request(&streamed("Go on"))).await;
    let mut body = response.into_body().into_data_stream();
    let first = body.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"data: "));
    drop(body);
    world.until(|world| world.charged() > 0).await;
    world.settle(0).await;
}

/// Clients that may come back are away as long as they like.
fn patient() -> Timing {
    Timing {
        away: SOON * 60,
        ..Timing::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_key_of_its_own_comes_back_to_its_stream() {
    let world = World::with_timing(1, patient()).await;
    world.nodes[0].script(&[Behaviour::Endless]);
    let (body, key) = (streamed("Go on"), ("idempotency-key", "a"));
    let first = world.begin(repeated(&world, &body, key)).await;
    let receipt = first.headers()["x-poq-receipt"].clone();
    drop(first);
    let second = world.begin(repeated(&world, &body, key)).await;
    assert_eq!(second.headers()["x-poq-receipt"], receipt);
    let mut text = second.into_body().into_data_stream();
    for _ in 0..20 {
        assert!(text.next().await.unwrap().unwrap().starts_with(b"data: "));
    }
    assert_eq!((orders(&world), world.charged()), (1, 0));
}

/// A log has its answers in the order of their numbers; clients get theirs as they end.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_answer_waits_for_no_longer_one_before_it() {
    let world = World::with_nodes(1).await;
    let sessions = world.roster.all().len();
    world.nodes[0].script(&vec![Behaviour::Endless; sessions]);
    let mut longer = Vec::new();
    for _ in 0..sessions {
        longer.push(world.begin(world.request(&streamed("Go on"))).await);
    }
    let answered = world.ask(&question("Why?")).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let receipt = answered.json()["poq"]["receipt"].clone();
    assert!(receipt.as_str().unwrap().ends_with("-1"), "{receipt}");
    let (written, acknowledged, _) = world.nodes[0].account();
    assert_eq!((written, acknowledged), (0, 0));
    drop(longer);
    let all = sessions as u64 + 1;
    world.until(|world| world.nodes[0].account().0 == all).await;
    world.settle(0).await;
}

fn repeated(world: &World, body: &Value, header: (&'static str, &'static str)) -> Request<Body> {
    let mut request = world.request(body);
    request
        .headers_mut()
        .insert(header.0, header.1.parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_same_answer_once() {
    let world = World::with_nodes(2).await;
    for (header, body) in [
        (("idempotency-key", "a"), question("Why?")),
        (("idempotency-key", "b"), streamed("Why?")),
        (("x-stainless-retry-count", "1"), question("Who?")),
    ] {
        let before = (world.charged(), orders(&world));
        let first = match header.0 {
            "idempotency-key" => world.send(repeated(&world, &body, header)).await,
            _ => world.ask(&body).await,
        };
        assert_eq!(first.status, StatusCode::OK);
        let charged = world.charged();
        assert!(charged > before.0);
        let second = world.send(repeated(&world, &body, header)).await;
        assert_eq!(
            second.headers["x-poq-receipt"],
            first.headers["x-poq-receipt"]
        );
        if body["stream"] == true {
            assert_eq!(second.streamed(), first.streamed());
        } else {
            assert_eq!(second.json()["choices"], first.json()["choices"]);
            assert_eq!(second.json()["poq"], first.json()["poq"]);
        }
        assert_eq!((world.charged(), orders(&world)), (charged, before.1 + 1));
    }
    let other = world
        .send(repeated(
            &world,
            &question("Else?"),
            ("idempotency-key", "a"),
        ))
        .await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
    assert_eq!(other.json()["error"]["param"], "Idempotency-Key");
    let again = world.ask(&question("Who?")).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(
        orders(&world),
        4,
        "an equal body that is no repetition is a new request"
    );
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repetition_of_a_refused_request_is_a_new_one() {
    let world = World::with_nodes(1).await;
    let body = question("Why?");
    let first = world.ask(&body).await;
    world.nodes[0].script(&[Behaviour::Refuse(RefusalCode::Busy)]);
    let refused = world.ask(&body).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let again = ("x-stainless-retry-count", "1");
    let second = world.send(repeated(&world, &body, again)).await;
    assert_eq!(second.status, StatusCode::OK, "{}", second.text);
    assert_ne!(
        second.headers["x-poq-receipt"],
        first.headers["x-poq-receipt"]
    );
    let third = world.send(repeated(&world, &body, again)).await;
    assert_eq!(
        third.headers["x-poq-receipt"],
        second.headers["x-poq-receipt"]
    );
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_joins_the_answer_in_progress() {
    let world = World::with_nodes(1).await;
    world.nodes[0].script(&[Behaviour::Endless]);
    let mut body = streamed("Go on");
    body["max_tokens"] = json!(20);
    let key = ("idempotency-key", "a");
    let first = world.begin(repeated(&world, &body, key)).await;
    let (second, rest) = tokio::join!(
        world.send(repeated(&world, &body, key)),
        axum::body::to_bytes(first.into_body(), usize::MAX),
    );
    let rest = String::from_utf8(rest.unwrap().to_vec()).unwrap();
    assert!(second.streamed().len() > 1_000);
    assert!(rest.contains(second.headers["x-poq-receipt"].to_str().unwrap()));
    assert_eq!(orders(&world), 1);
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_away_does_not_stop_open_sessions() {
    let world = World::with_nodes(1).await;
    world.chain.go_away(true);
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    world.settle(0).await;
}
