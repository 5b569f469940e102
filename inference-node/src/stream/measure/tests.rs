use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures::StreamExt;
use poq_proto::v1::{DrawnLeaf, SessionPayment, SessionSettlement};
use poq_worker::Health;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::generator::testing::Parrot;
use crate::stream::api::{self, Surroundings};
use crate::stream::testing::{OPERATOR, Played, SESSION, User, chat, desk, record};
use crate::stream::work::Work;

fn settled(leaves: usize) -> Session {
    Session {
        status: SessionStatus::Revealing.into(),
        settlement: Some(SessionSettlement {
            amount: 700,
            unacknowledged: 30,
            leaves: vec![DrawnLeaf::default(); leaves],
            ..SessionSettlement::default()
        }),
        ..record(SESSION)
    }
}

#[test]
fn what_the_chain_did_is_counted_once() {
    let open = record(SESSION);
    let paid = Session {
        status: SessionStatus::Final.into(),
        payment: Some(SessionPayment {
            node: 400,
            ..SessionPayment::default()
        }),
        ..settled(5)
    };
    let none = Progress::default();
    for (old, new, expected) in [
        (&open, &open, none),
        (
            &open,
            &settled(0),
            Progress {
                settled: 700,
                burnt: 30,
                ..Progress::default()
            },
        ),
        (
            &settled(0),
            &settled(3),
            Progress {
                revealed: 3,
                ..Progress::default()
            },
        ),
        (
            &settled(3),
            &paid,
            Progress {
                revealed: 2,
                earned: 400,
                ended: Some(SessionStatus::Final),
                ..Progress::default()
            },
        ),
        (&paid, &paid, Progress::default()),
        // A compact record has no leaves any more.
        (
            &paid,
            &Session {
                settlement: None,
                ..paid.clone()
            },
            Progress::default(),
        ),
    ] {
        assert_eq!(Progress::between(old, new), expected);
    }
}

#[tokio::test]
async fn operators_see_every_metric_of_the_documents() {
    let shutdown = CancellationToken::new();
    let metrics = poq_worker::program::metrics::routes(shutdown).unwrap();
    describe();
    let folder = tempfile::tempdir().unwrap();
    let chain = Played::new();
    let parrot = Parrot::with_concurrency(999, 2);
    let desk = desk(folder.path(), &parrot, &chain).await;
    let mut user = User::new(SESSION);
    let order = user.order(chat("one two"));
    let frames = desk.order(order).await.unwrap();
    user.finished(Box::pin(frames.skip(1))).await;
    let surroundings = Surroundings {
        max_prompt_bytes: 1_000,
        is_behind_proxy: false,
    };
    let nonsense = Request::post("/poq/v1/orders").body(Body::from("{"));
    let router = api::router(desk.clone(), surroundings);
    router.oneshot(nonsense.unwrap()).await.unwrap();
    let work = Work {
        desk: desk.clone(),
        chain: chain.clone(),
        operator: OPERATOR.into(),
        health: Health::default(),
    };
    for status in [SessionStatus::Revealing, SessionStatus::Final] {
        chain.change(|session| {
            *session = Session {
                id: SESSION,
                node: session.node.clone(),
                ..settled(1)
            }
        });
        chain.change(|session| session.status = status.into());
        assert!(work.renew().await);
    }

    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let body = metrics.oneshot(request).await.unwrap().into_body();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let shown = String::from_utf8(body.into()).unwrap();
    for metric in [
        "poq_inference_stream_accepted_total ",
        "poq_inference_stream_refused_total{code=\"malformed\"} ",
        "poq_inference_stream_receipts_total{finish=\"stop\"} ",
        "poq_inference_stream_first_text_seconds_count ",
        "poq_inference_stream_commit_seconds_count ",
        "poq_inference_stream_sessions{status=\"open\"} ",
        "poq_inference_stream_unacknowledged_price ",
        "poq_inference_stream_settled_price_total ",
        "poq_inference_stream_burnt_price_total ",
        "poq_inference_stream_earned_total ",
        "poq_inference_stream_revealed_total ",
        "poq_inference_stream_ended_total{status=\"final\"} ",
        "poq_worker_running{asker=\"session\"} ",
        "poq_worker_waiting{asker=\"session\"} ",
    ] {
        let name = metric.split(['{', ' ']).next().unwrap();
        assert!(shown.contains(metric), "{metric}: {shown}");
        let documents = include_str!("../../../../docs/sessions.md");
        assert!(
            documents.contains(name.trim_end_matches("_count")),
            "{name}"
        );
        let is_ours = name.starts_with("poq_inference_stream");
        let help = format!("# HELP {} ", name.trim_end_matches("_count"));
        assert!(!is_ours || shown.contains(&help), "{help}");
    }
}

#[tokio::test]
async fn health_tells_that_the_chain_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Played::new();
    let parrot = Parrot::new(0);
    let work = Work {
        desk: desk(folder.path(), &parrot, &chain).await,
        chain: chain.clone(),
        operator: OPERATOR.into(),
        health: Health::default(),
    };
    chain.set_reachable(false);
    assert!(!work.renew().await);
    let problems = work.health.problems();
    assert!(
        problems["stream_chain"].contains("cannot read"),
        "{problems:?}"
    );
    chain.set_reachable(true);
    assert!(work.renew().await);
    assert!(!work.health.problems().contains_key("stream_chain"));
}
