use poq_proto::v1::Finish;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

const CHAIN: &str = "poq-test-1";

fn record(id: u64) -> v1::Session {
    v1::Session {
        id,
        user: "poq1user".into(),
        escrow: 1_000,
        ..v1::Session::default()
    }
}

fn chat(seed: u64) -> v1::Chat {
    v1::Chat {
        model: "m".into(),
        seed,
        ..v1::Chat::default()
    }
}

fn signed(session: u64, number: u64) -> Signed {
    let voucher = Voucher {
        session,
        number,
        request: [1; 32],
        count: 0,
        root: [2; 32],
        amount: 3,
        authorized: 4,
    };
    Signed {
        voucher,
        signature: [number as u8; 64],
    }
}

fn order(session: u64, number: u64) -> Write {
    Write::Order {
        chat: Box::new(chat(number)),
        signed: signed(session, number),
    }
}

fn end(session: u64, number: u64, text: &str) -> Write {
    let ended = Ended {
        answer: Sha256::digest(text).into(),
        answer_bytes: text.len() as u32,
        prompt_tokens: 5,
        answer_tokens: 6,
        finish: Finish::Stop,
    };
    Write::End {
        session,
        number,
        text: text.into(),
        ended,
    }
}

struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, chain: &str) -> (Journal, Vec<Kept>) {
        let path = self.0.path().join("stream.db");
        Journal::open(&path, chain, &Health::default()).unwrap()
    }
}

async fn stored(journal: &Journal, writes: impl IntoIterator<Item = Write>) {
    for write in writes {
        journal.write(write).stored().await.unwrap();
    }
}

#[tokio::test]
async fn a_new_process_finds_what_was_stored_and_the_rest_is_void() {
    let disk = Disk::new();
    let (journal, kept) = disk.open(CHAIN);
    assert!(kept.is_empty());
    let text = |delta: &str| Write::Text {
        session: 7,
        number: 1,
        delta: delta.into(),
    };
    stored(
        &journal,
        [
            Write::Open(Box::new(record(7))),
            order(7, 0),
            order(7, 1),
            text("half of "),
            text("it"),
            end(7, 0, "héllo"),
        ],
    )
    .await;
    // Not awaited: the process may end at any moment.
    drop(journal);

    let (journal, kept) = disk.open(CHAIN);
    let hello = Ended {
        answer: Sha256::digest("héllo").into(),
        answer_bytes: 6,
        prompt_tokens: 5,
        answer_tokens: 6,
        finish: Finish::Stop,
    };
    let expected = Kept {
        record: record(7),
        newest: Some(signed(7, 1)),
        orders: vec![
            KeptOrder {
                chat: chat(0),
                ended: hello,
            },
            KeptOrder {
                chat: chat(1),
                ended: Ended::VOID,
            },
        ],
    };
    assert_eq!(kept, [expected]);
    // The late end of a void order is no second leaf.
    let late = journal.write(end(7, 1, "half of it all")).stored().await;
    assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
    let void = journal.served(7, 1).await.unwrap().unwrap();
    assert_eq!(void.answer, "");
    let served = journal.served(7, 0).await.unwrap().unwrap();
    assert_eq!((served.chat, served.answer.as_str()), (chat(0), "héllo"));
    assert_eq!(journal.served(7, 2).await.unwrap(), None);
}

#[tokio::test]
async fn a_change_that_fails_takes_no_other_with_it() {
    let disk = Disk::new();
    let (journal, _) = disk.open(CHAIN);
    let together = [
        Write::Open(Box::new(record(7))),
        order(7, 0),
        // The same number again, a session that is not there, an order that is not there.
        order(7, 0),
        order(8, 0),
        end(7, 5, "x"),
        end(7, 0, "one"),
        end(7, 0, "two"),
        Write::Acknowledge(signed(7, 1)),
    ];
    let pending: Vec<Written> = together.map(|write| journal.write(write)).into();
    let mut outcomes = Vec::new();
    for written in pending {
        outcomes.push(written.stored().await.is_ok());
    }
    let expected = [true, true, false, false, false, true, false, true];
    assert_eq!(outcomes, expected);
    let served = journal.served(7, 0).await.unwrap().unwrap();
    assert_eq!(served.answer, "one");
    drop(journal);
    let (_, kept) = disk.open(CHAIN);
    assert_eq!(kept[0].newest, Some(signed(7, 1)));
    assert_eq!(kept[0].orders.len(), 1);
}

#[tokio::test]
async fn a_session_that_is_over_keeps_no_texts_and_takes_no_orders() {
    let disk = Disk::new();
    let (journal, _) = disk.open(CHAIN);
    let session = |id| {
        [
            Write::Open(Box::new(record(id))),
            order(id, 0),
            end(id, 0, "a"),
        ]
    };
    stored(&journal, session(7).into_iter().chain(session(8))).await;
    stored(&journal, [Write::Over(7)]).await;
    assert!(journal.is_over(7).await.unwrap());
    assert!(!journal.is_over(8).await.unwrap() && !journal.is_over(9).await.unwrap());
    assert_eq!(journal.served(7, 0).await.unwrap(), None);
    assert!(journal.served(8, 0).await.unwrap().is_some());
    for again in [Write::Open(Box::new(record(7))), order(7, 0)] {
        assert!(journal.write(again).stored().await.is_err());
    }
    drop(journal);
    let (_, kept) = disk.open(CHAIN);
    let ids: Vec<u64> = kept.iter().map(|kept| kept.record.id).collect();
    assert_eq!(ids, [8]);
}

#[tokio::test]
async fn every_chain_has_its_own_sessions_and_accounts() {
    let disk = Disk::new();
    let (journal, _) = disk.open(CHAIN);
    let window = |size| Write::Window {
        user: "poq1user".into(),
        size,
    };
    stored(
        &journal,
        [
            Write::Open(Box::new(record(7))),
            order(7, 0),
            window(8),
            window(16),
        ],
    )
    .await;
    assert_eq!(journal.window("poq1user").await.unwrap(), Some(16));
    assert_eq!(journal.window("poq1other").await.unwrap(), None);
    let (other, kept) = disk.open("poq-test-2");
    assert!(kept.is_empty());
    assert_eq!(other.window("poq1user").await.unwrap(), None);
    stored(&other, [Write::Open(Box::new(record(7)))]).await;
    // The other chain's process has not ended this chain's order.
    stored(&journal, [end(7, 0, "a")]).await;
}

#[test]
fn a_newer_format_is_left_alone() {
    let disk = Disk::new();
    let path = disk.0.path().join("stream.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "user_version", VERSION + 1)
        .unwrap();
    let error = Journal::open(&path, CHAIN, &Health::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("newer version"), "{error}");
    let missing = disk.0.path().join("missing/stream.db");
    assert!(matches!(
        Journal::open(&missing, CHAIN, &Health::default()).err(),
        Some(Error::Open { .. })
    ));
}

#[tokio::test]
async fn health_tells_that_the_journal_cannot_be_written() {
    let disk = Disk::new();
    let path = disk.0.path().join("stream.db");
    let health = Health::default();
    let (journal, _) = Journal::open(&path, CHAIN, &health).unwrap();
    let is_broken = || health.problems().contains_key("stream_journal");
    // A change that contradicts the file says nothing against it.
    assert!(journal.write(order(7, 0)).stored().await.is_err());
    assert!(!is_broken());
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("ALTER TABLE windows RENAME TO gone")
        .unwrap();
    let window = || Write::Window {
        user: "poq1user".into(),
        size: 8,
    };
    assert!(journal.write(window()).stored().await.is_err());
    assert!(is_broken());
    other
        .execute_batch("ALTER TABLE gone RENAME TO windows")
        .unwrap();
    journal.write(Write::Check).stored().await.unwrap();
    assert!(!is_broken());
}
