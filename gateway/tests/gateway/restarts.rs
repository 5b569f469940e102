//! Restarts, used sessions, and what remains of them.

use axum::http::StatusCode;
use poq_proto::v1::SessionStatus;

use super::world::{World, question, streamed};
use crate::played::Behaviour;
use crate::store::sessions::State;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_with_the_same_sessions() {
    let world = World::with_nodes(2).await;
    for number in 0..5 {
        assert_eq!(
            world.ask(&question(&format!("{number}"))).await.status,
            StatusCode::OK
        );
    }
    let charged = world.charged();
    let sessions = world.chain.records().len();
    let world = world.restart().await;
    world.until(|world| world.roster.all().len() == 2).await;
    assert_eq!(world.ask(&question("after")).await.status, StatusCode::OK);
    assert_eq!(
        world.chain.records().len(),
        sessions,
        "no session is opened anew"
    );
    assert!(world.charged() > charged);
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_before_a_restart_get_their_receipts() {
    let world = World::with_nodes(1).await;
    world.nodes[0].script(&[Behaviour::Endless]);
    let response = world.begin(world.request(&streamed("Go on"))).await;
    assert_eq!(response.status(), StatusCode::OK);
    let receipt = response.headers()["x-poq-receipt"]
        .to_str()
        .unwrap()
        .to_owned();
    let world = world.restart().await;
    drop(response);
    world.until(|world| world.nodes[0].account().1 == 1).await;
    let found = world.get(&format!("/v1/receipts/{receipt}")).await;
    assert!(
        found.status == StatusCode::NOT_FOUND || found.json()["leaf"]["finish"] == "FINISH_USER"
    );
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_session_is_replaced_acknowledged_and_closed() {
    let world = World::with_nodes(1).await;
    let first = world.roster.all()[0].clone();
    first.inner().drain();
    world
        .until(|world| world.roster.all().iter().any(|live| live.id != first.id))
        .await;
    world
        .until(|world| world.chain.record(first.id).unwrap().status() == SessionStatus::Closing)
        .await;
    assert_eq!(first.inner().state, State::Closed);
    let answered = world.ask(&question("Why?")).await.json();
    assert!(
        !answered["poq"]["receipt"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{}-", first.id))
    );
}
