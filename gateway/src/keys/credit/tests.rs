//! The credit of groups: holds by themselves, and with a real store in any order of events.

mod random;

use super::*;
use crate::store::keys;

fn account() -> Account {
    Account {
        address: "poq1gateway".into(),
        denom: "upoq".into(),
    }
}

async fn credits(folder: &tempfile::TempDir, credit: u64) -> (Arc<Credits>, i64) {
    let store = Arc::new(Store::open(&folder.path().join("gateway.db")).unwrap());
    let add = move |db: &rusqlite::Connection| {
        let group = groups::add(db, "team")?.unwrap();
        groups::top_up(db, group, credit)?;
        Ok(group)
    };
    let group = store.write(add).await.unwrap();
    (Arc::new(Credits::new(store, account())), group)
}

fn short(result: Result<Hold, NoHold>) -> Short {
    match result.err().unwrap() {
        NoHold::Short(short) => *short,
        NoHold::Store(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn answers_in_progress_hold_what_they_may_cost() {
    let folder = tempfile::tempdir().unwrap();
    let (credits, group) = credits(&folder, 1_000).await;
    let mut first = credits.hold(Some(group), 400).unwrap();
    let second = credits.hold(Some(group), 500).unwrap();
    let reason = short(credits.hold(Some(group), 101));
    assert_eq!(
        (reason.credit, reason.held, reason.needed),
        (1_000, 900, 101)
    );
    let message = reason.to_string();
    let expected = "a credit of 1000upoq, of which 900upoq are held for answers in progress; this request may cost \
                    101upoq. Top up by a transfer to poq1gateway with the memo `poq-gateway:team`";
    assert!(message.contains(expected), "{message}");
    first.cover(500).unwrap();
    first.cover(300).unwrap();
    assert!(first.cover(501).is_err());
    assert_eq!(credits.held(group), 1_000, "a failure holds nothing");
    drop(second);
    assert_eq!(credits.held(group), 500);
    first.cover(1_000).unwrap();
    drop(first);
    assert_eq!(credits.held(group), 0);
}

#[tokio::test]
async fn a_key_without_a_group_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (credits, group) = credits(&folder, 0).await;
    let mut hold = credits.hold(None, u64::MAX).unwrap();
    hold.cover(u64::MAX).unwrap();
    assert_eq!(credits.held(group), 0);
    assert!(credits.hold(Some(group), 1).is_err());
}

#[tokio::test]
async fn the_ledger_is_only_appended_to_and_no_credit_is_negative() {
    let folder = tempfile::tempdir().unwrap();
    let (credits, group) = credits(&folder, 1_000).await;
    for statement in [
        "DELETE FROM ledger",
        "UPDATE ledger SET amount = 1",
        "INSERT INTO ledger (kind, group_id, amount, created) VALUES ('charge', 1, 1001, 0)",
        "INSERT INTO ledger (kind, group_id, amount, created) VALUES ('top-up', 1, 9223372036854775807, 0)",
    ] {
        let change = move |db: &rusqlite::Connection| db.execute(statement, []);
        assert!(
            credits.store.write(change).await.is_err(),
            "{statement} is refused"
        );
    }
    let found = credits.store.read(|db| groups::get(db, group)).unwrap();
    assert_eq!(found.credit, 1_000);
    assert_eq!(credits.store.read(|db| keys::spent(db, 0, 0)).unwrap(), 0);
}
