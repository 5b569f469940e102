use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::time::sleep;

use super::*;
use crate::fake_node::{FakeNode, info};

const POLL: Duration = Duration::from_millis(20);
const CHAIN: &str = "poq-local-1";

/// A node at a height that the test sets.
async fn node(height: &Arc<AtomicU64>) -> FakeNode {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, height)
}

fn serve(listener: TcpListener, height: &Arc<AtomicU64>) -> FakeNode {
    let height = height.clone();
    FakeNode::serve(listener, move |method, _| match method {
        "abci_info" => Ok(info(height.load(Ordering::Relaxed))),
        other => Err(format!("unexpected {other}")),
    })
}

fn follower(node: &FakeNode, folder: &tempfile::TempDir) -> Follower {
    let client = Client::new(&node.url).unwrap();
    Follower::open(client, folder.path().join("cursor.json"), CHAIN, POLL)
}

async fn is_waiting(follower: &mut Follower) -> bool {
    timeout(POLL * 10, follower.next()).await.is_err()
}

#[tokio::test]
async fn every_height_is_told_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let height = Arc::new(AtomicU64::new(5));
    let node = node(&height).await;
    let mut follower = follower(&node, &folder);

    assert_eq!(follower.next().await, 5);
    let before = Instant::now();
    assert_eq!(
        follower.next().await,
        5,
        "the height was not marked as done"
    );
    assert!(
        before.elapsed() >= POLL,
        "returned before the poll interval"
    );
    follower.done(5);
    assert!(is_waiting(&mut follower).await);

    height.store(9, Ordering::Relaxed);
    assert_eq!(follower.next().await, 9);
    follower.done(3);
    assert_eq!(follower.cursor(), 5, "the cursor never goes back");
}

#[tokio::test]
async fn a_restart_continues_at_the_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let height = Arc::new(AtomicU64::new(5));
    let node = node(&height).await;
    let mut first = follower(&node, &folder);
    assert_eq!(first.next().await, 5);
    drop(first);

    let mut second = follower(&node, &folder);
    assert_eq!(
        second.next().await,
        5,
        "the first follower died before the height was done"
    );
    second.done(5);
    // What a crash in the middle of a write leaves.
    std::fs::write(folder.path().join(".tmpAbCdEf"), "{\"hei").unwrap();

    let mut third = follower(&node, &folder);
    assert_eq!(third.cursor(), 5);
    assert!(is_waiting(&mut third).await);
}

#[tokio::test]
async fn an_outage_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let height = Arc::new(AtomicU64::new(5));
    let first = node(&height).await;
    let address = first.url.trim_start_matches("http://").to_owned();
    let mut follower = follower(&first, &folder);
    assert_eq!(follower.next().await, 5);
    follower.done(5);

    drop(first);
    assert!(is_waiting(&mut follower).await);
    height.store(6, Ordering::Relaxed);
    sleep(POLL).await;
    let _second = serve(TcpListener::bind(address).await.unwrap(), &height);
    let next = timeout(Duration::from_secs(10), follower.next()).await;
    assert_eq!(next.unwrap(), 6);
}

#[tokio::test]
async fn a_chain_below_the_cursor_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let height = Arc::new(AtomicU64::new(2));
    let node = node(&height).await;
    let mut follower = follower(&node, &folder);
    follower.done(4);
    assert!(is_waiting(&mut follower).await);
    height.store(5, Ordering::Relaxed);
    assert_eq!(follower.next().await, 5);
}

#[tokio::test]
async fn a_cursor_that_is_damaged_or_of_another_chain_is_no_hindrance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cursor.json");
    let open = || {
        let client = Client::new("http://127.0.0.1:1").unwrap();
        Follower::open(client, &path, CHAIN, POLL)
    };
    for useless in [
        "",
        "{",
        "{\"chain_id\":\"poq-local-1\",\"height\":-1}",
        "{\"chain_id\":\"poq-local-2\",\"height\":9}",
        "{\"height\":9}",
    ] {
        std::fs::write(&path, useless).unwrap();
        let mut follower = open();
        assert_eq!(follower.cursor(), 0, "{useless}");
        follower.done(5);
        assert_eq!(open().cursor(), 5, "{useless}");
    }
}

#[tokio::test]
async fn a_cursor_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let height = Arc::new(AtomicU64::new(5));
    let node = node(&height).await;
    let mut follower = follower(&node, &folder);
    folder.close().unwrap();
    assert_eq!(follower.next().await, 5);
    follower.done(5);
    assert_eq!(follower.cursor(), 5);
    height.store(6, Ordering::Relaxed);
    assert_eq!(follower.next().await, 6);
}
