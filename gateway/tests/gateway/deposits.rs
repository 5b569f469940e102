//! Transfers to the gateway's account, as blocks of the played chain.

use std::sync::Arc;

use poq_worker::Health;
use proptest::prelude::*;

use crate::chain::Chain;
use crate::deposits::Deposits;
use crate::played::PlayedChain;
use crate::store::deposits::{self, Place};
use crate::store::{Store, groups};

struct World {
    folder: tempfile::TempDir,
    chain: PlayedChain,
    follower: Option<Deposits>,
    group: i64,
}

impl World {
    async fn new() -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            chain: PlayedChain::default(),
            follower: None,
            group: 0,
        };
        world.restart();
        let add = |db: &rusqlite::Connection| Ok(groups::add(db, "team")?.unwrap());
        world.group = world.store().write(add).await.unwrap();
        world.chain.height().await.unwrap();
        world.follower().read_on().await.unwrap();
        world
    }

    fn restart(&mut self) {
        self.follower = None;
        let store = Store::open(&self.folder.path().join("gateway.db")).unwrap();
        self.follower = Some(Deposits {
            chain: Arc::new(self.chain.clone()),
            store: Arc::new(store),
            denom: "upoq".into(),
            health: Health::default(),
        });
    }

    fn follower(&self) -> &Deposits {
        self.follower.as_ref().unwrap()
    }

    fn store(&self) -> &Store {
        &self.follower().store
    }

    fn credit(&self) -> u64 {
        let found = self.store().read(|db| groups::get(db, self.group));
        found.unwrap().credit
    }

    fn unassigned(&self) -> Vec<Place> {
        let mut all = self.store().read(deposits::list).unwrap();
        all.retain(|deposit| deposit.group.is_none());
        all.iter().map(|deposit| deposit.place).collect()
    }
}

#[tokio::test]
async fn a_transfer_with_the_groups_memo_is_credited_once() {
    let mut world = World::new().await;
    world.chain.transfer(100, "poq-gateway:team");
    world.chain.transfer(20, "poq-gateway:team");
    world.follower().read_on().await.unwrap();
    assert_eq!(world.credit(), 120);
    world.follower().read_on().await.unwrap();
    world.restart();
    world.follower().read_on().await.unwrap();
    assert_eq!(world.credit(), 120);
    assert!(world.unassigned().is_empty());
}

#[tokio::test]
async fn what_names_no_group_waits_for_the_operator() {
    let world = World::new().await;
    for memo in ["poq-gateway:nobody", "poq-gateway:", "team", ""] {
        world.chain.transfer(100, memo);
    }
    world.follower().read_on().await.unwrap();
    assert_eq!(world.credit(), 0);
    let waiting = world.unassigned();
    assert_eq!(waiting.len(), 4);
    let (place, group) = (waiting[2], world.group);
    for is_first in [true, false] {
        let assign = move |db: &rusqlite::Connection| deposits::assign(db, place, group);
        let assigned = world.store().write(assign).await.unwrap();
        assert_eq!(assigned.is_some(), is_first);
        assert_eq!(world.credit(), 100);
    }
    assert_eq!(world.unassigned().len(), 3);
    let shown = place.to_string();
    assert_eq!(shown.parse(), Ok(place));
    assert_eq!(shown.strip_suffix("-0").unwrap().parse(), Ok(place));
    for wrong in ["", "1", "1-2-3-4", "a-1", "1-2-x"] {
        assert!(wrong.parse::<Place>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn no_block_is_skipped_when_the_node_has_it_no_more() {
    let world = World::new().await;
    let height = world.chain.transfer(100, "poq-gateway:team");
    world.chain.prune(height + 5);
    for _ in 0..10 {
        let error = world.follower().read_on().await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("block {height} cannot be read")),
            "{error}"
        );
    }
    assert_eq!(world.credit(), 0);
    world.chain.prune(0);
    world.follower().read_on().await.unwrap();
    assert_eq!(world.credit(), 100);
}

#[tokio::test]
async fn a_node_that_is_far_behind_is_told() {
    let world = World::new().await;
    for _ in 0..30 {
        world.chain.height().await.unwrap();
    }
    world.follower().read_on().await.unwrap();
    world.chain.fall_back(3);
    let error = world.follower().read_on().await.unwrap_err().to_string();
    assert!(error.contains("the node is at height 4"), "{error}");
    let height = world.chain.transfer(100, "poq-gateway:team");
    assert!(height < 10, "these heights were read");
    while world.follower().read_on().await.is_err() {}
    assert_eq!(world.credit(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_deposit_counts_once_whatever_happens(steps in prop::collection::vec(0..7_u8, 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let (mut sent, mut unknown) = (0, 0);
            for (step, amount) in steps.into_iter().zip(1..) {
                match step {
                    0 | 1 => {
                        world.chain.transfer(amount, "poq-gateway:team");
                        sent += amount;
                    }
                    2 => {
                        world.chain.transfer(amount, "poq-gateway:other");
                        unknown += 1;
                    }
                    3 => { let _ = world.follower().read_on().await; }
                    4 => world.restart(),
                    5 => world.chain.go_away(true),
                    _ => world.chain.go_away(false),
                }
                assert!(world.credit() <= sent);
            }
            world.chain.go_away(false);
            world.restart();
            world.follower().read_on().await.unwrap();
            assert_eq!(world.credit(), sent);
            assert_eq!(world.unassigned().len(), unknown);
        });
    }
}
