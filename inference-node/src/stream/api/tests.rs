use axum::body::{Body, to_bytes};
use axum::http::Request as HttpRequest;
use poq_client::session::{Frame, WHOLE_SESSION};
use poq_proto::Call;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::generator::testing::Parrot;
use crate::stream::testing::{CHAIN_ID, Played, SESSION, User, chat, desk, text, user_key};

struct App {
    _folder: TempDir,
    router: Router,
    user: User,
}

async fn app() -> App {
    let folder = tempfile::tempdir().unwrap();
    let parrot = Parrot::with_concurrency(999, 2);
    let desk = desk(folder.path(), &parrot, &Played::new()).await;
    let surroundings = Surroundings {
        max_prompt_bytes: 1_000,
        is_behind_proxy: true,
    };
    App {
        _folder: folder,
        router: router(desk, surroundings),
        user: User::new(SESSION),
    }
}

fn signed_call(call: Call, number: u64, offset: u64) -> String {
    let digest = call.digest(CHAIN_ID, SESSION, number, offset);
    hex::encode(user_key().sign_digest(&digest).unwrap())
}

impl App {
    async fn send(&self, request: HttpRequest<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.into()).unwrap())
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
        let request = HttpRequest::post(path).body(body.into()).unwrap();
        self.send(request).await
    }

    async fn get(&self, path: &str, signature: &str) -> (StatusCode, String) {
        let request = HttpRequest::get(path)
            .header(SIGNATURE_HEADER, signature)
            .body(Body::empty());
        self.send(request.unwrap()).await
    }
}

fn frames(body: &str) -> Vec<Frame> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_call_works_over_http() {
    let mut app = app().await;
    let order = app.user.order(chat("one two"));
    let body = serde_json::to_string(&order).unwrap();
    let (status, stream) = app.post("/poq/v1/orders", body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{stream}");
    let all = frames(&stream);
    assert!(matches!(all[0], Frame::Accept { .. }), "{stream}");
    assert_eq!(text(&all), "one two");
    let Some(Frame::Receipt { leaf, signature }) = all.last() else {
        panic!("{stream}");
    };
    app.user.receive("one two", leaf, signature);

    // The same order again.
    let (status, refused) = app.post("/poq/v1/orders", body).await;
    assert_eq!(
        (status, code(&refused).as_str()),
        (StatusCode::CONFLICT, "wrong_number")
    );
    assert!(refused.contains("\"next\":1"), "{refused}");

    let path = format!("/poq/v1/orders/{SESSION}/0");
    let (status, stream) = app
        .get(&format!("{path}?offset=4"), &signed_call(Call::Read, 0, 4))
        .await;
    assert_eq!(
        (status, text(&frames(&stream)).as_str()),
        (StatusCode::OK, "two")
    );
    let (status, stream) = app.get(&path, &signed_call(Call::Read, 0, 0)).await;
    assert_eq!(
        (status, text(&frames(&stream)).as_str()),
        (StatusCode::OK, "one two")
    );
    let (status, refused) = app.get(&path, &signed_call(Call::Read, 0, 4)).await;
    assert_eq!(
        (status, code(&refused).as_str()),
        (StatusCode::UNAUTHORIZED, "unauthorized")
    );

    let body = serde_json::to_string(&app.user.acknowledgement()).unwrap();
    let (status, state) = app.post("/poq/v1/acks", body).await;
    assert_eq!(status, StatusCode::OK, "{state}");
    let state: SessionState = serde_json::from_str(&state).unwrap();
    assert_eq!((state.next, state.acknowledged), (1, 1));
    let path = format!("/poq/v1/sessions/{SESSION}");
    let (status, same) = app
        .get(&path, &signed_call(Call::Read, WHOLE_SESSION, 0))
        .await;
    assert_eq!(status, StatusCode::OK, "{same}");
    assert_eq!(serde_json::from_str::<SessionState>(&same).unwrap(), state);

    let stop = HttpRequest::post(format!("/poq/v1/orders/{SESSION}/0/stop"))
        .header(SIGNATURE_HEADER, signed_call(Call::Stop, 0, 0))
        .body(Body::empty());
    assert_eq!(app.send(stop.unwrap()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_call_is_refused_in_the_same_form() {
    let app = app().await;
    for (body, expected) in [
        (String::new(), (400, "malformed")),
        ("{}".into(), (400, "malformed")),
        (" ".repeat(2_000 + OVERHEAD + 1), (413, "too_large")),
    ] {
        for path in ["/poq/v1/orders", "/poq/v1/acks"] {
            let (status, refused) = app.post(path, body.clone()).await;
            assert_eq!((status.as_u16(), code(&refused).as_str()), expected);
        }
    }
    let path = format!("/poq/v1/orders/{SESSION}/0");
    let unsigned = HttpRequest::get(&path).body(Body::empty()).unwrap();
    let (status, refused) = app.send(unsigned).await;
    assert_eq!(
        (status.as_u16(), code(&refused).as_str()),
        (401, "unauthorized")
    );
    assert_eq!(app.get(&path, "zz").await.0, StatusCode::BAD_REQUEST);
    for wrong in [
        "/poq/v1/orders/7/x",
        "/poq/v1/orders/7/0?offset=-1",
        "/poq/v1/sessions/x",
    ] {
        let (status, refused) = app.get(wrong, &signed_call(Call::Read, 0, 0)).await;
        assert_eq!(
            (status.as_u16(), code(&refused).as_str()),
            (400, "malformed")
        );
    }
    let (status, refused) = app.get("/poq/v2", "").await;
    assert_eq!(
        (status.as_u16(), code(&refused).as_str()),
        (404, "not_found")
    );
    assert_eq!(app.get("/poq/v1/acks", "").await.0.as_u16(), 405);
}

#[tokio::test]
async fn who_calls_too_often_is_told_to_wait_before_anything_is_read() {
    let app = app().await;
    let call = |address: &str| {
        let request = HttpRequest::post("/poq/v1/orders")
            .header("x-forwarded-for", address)
            .body(Body::empty());
        app.send(request.unwrap())
    };
    let mut last = StatusCode::BAD_REQUEST;
    for _ in 0..10_000 {
        last = call("10.0.0.1").await.0;
        if last != StatusCode::BAD_REQUEST {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(call("10.0.0.2").await.0, StatusCode::BAD_REQUEST);
}
