//! The node that is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use poq_proto::Leaf;
use poq_proto::merkle::root_of_path;
use poq_proto::v1::{self, SessionSettlement, SessionStatus};
use poq_worker::Health;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::generator::testing::Parrot;
use crate::stream::journal::Write;
use crate::stream::orders::Desk;
use crate::stream::session::Session;
use crate::stream::testing::{OPERATOR, Played, SESSION, mortal_desk};
use crate::stream::work::Work;

/// The highest price of an order of these tests, base units: base, prompt and 500 bytes of answer.
const CEILING: u64 = 100 + 100 + 5_000;

/// How many moments before and after commits a process has left.
#[derive(Clone)]
pub(super) struct Life {
    left: Arc<AtomicU64>,
    over: CancellationToken,
}

impl Life {
    fn endless() -> Self {
        Self {
            left: Arc::new(AtomicU64::new(u64::MAX)),
            over: CancellationToken::new(),
        }
    }

    pub(super) fn ends_after(&self, moments: u64) {
        self.left.store(moments, Ordering::SeqCst);
    }

    fn goes_on(&self) -> bool {
        let one_less = |left: u64| Some(left.saturating_sub(1));
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        let goes_on = left.unwrap() > 0;
        if !goes_on {
            self.over.cancel();
        }
        goes_on
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }
}

pub(super) struct Node {
    folder: TempDir,
    pub(super) parrot: Arc<Parrot>,
    chain: Arc<Played>,
    pub(super) desk: Arc<Desk>,
    pub(super) life: Life,
}

impl Node {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (parrot, chain) = (Parrot::with_concurrency(0, 4), Played::new());
        let life = Life::endless();
        let desk = mortal_desk(folder.path(), &parrot, &chain, lives(&life)).await;
        Self {
            folder,
            parrot,
            chain,
            desk,
            life,
        }
    }

    /// Another process with the same journal.
    pub(super) async fn restart(&mut self) {
        self.life.ends_after(0);
        // The writer of the old one has ended once it refuses.
        assert!(
            self.desk
                .journal
                .write(Write::Check)
                .stored()
                .await
                .is_err()
        );
        self.desk.shutdown.cancel();
        self.life = Life::endless();
        let lives = lives(&self.life);
        self.desk = mortal_desk(self.folder.path(), &self.parrot, &self.chain, lives).await;
    }

    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.desk.find(SESSION)
    }

    /// The node never claims more than a window of orders.
    pub(super) fn check_exposure(&self) {
        let Some(session) = self.session() else {
            return;
        };
        let state = session.lock();
        let Some(signed) = state.newest else {
            return;
        };
        let beyond = state.log.next() - signed.voucher.count;
        assert!(beyond <= u64::from(state.window.size()), "{beyond} orders");
        let claimed = state.log.served_beyond(signed.voucher.count);
        assert!(claimed <= beyond * CEILING);
        assert!(claimed <= signed.voucher.authorized - signed.voucher.amount);
    }

    /// What is acknowledged can be settled, and all of it revealed.
    pub(super) async fn check_settlement(&self) {
        let Some(session) = self.session() else {
            return;
        };
        let (count, paid) = {
            let state = session.lock();
            let count = state.log.count();
            assert_eq!((state.log.acknowledged(), state.log.next()), (count, count));
            let leaves = (0..count).filter_map(|number| state.log.leaf(number).copied());
            (
                count,
                leaves.filter(|leaf| leaf.price > 0).collect::<Vec<_>>(),
            )
        };
        let work = Work {
            desk: self.desk.clone(),
            chain: self.chain.clone(),
            operator: OPERATOR.into(),
            health: Health::default(),
        };
        self.enter(SessionStatus::Closing, None);
        assert!(work.renew().await);
        work.block(501).await;
        let settled = self.chain.settled.lock().unwrap().pop().unwrap();
        let item = &settled.items[0];
        let voucher = item.voucher.as_ref().unwrap();
        assert_eq!((voucher.count, item.unacknowledged), (count, 0));
        let settlement = SessionSettlement {
            count,
            root: voucher.root.clone(),
            amount: voucher.amount,
            all_drawn: true,
            ..SessionSettlement::default()
        };
        self.enter(SessionStatus::Revealing, Some(settlement));
        assert!(work.renew().await);
        work.block(502).await;
        let messages = std::mem::take(&mut *self.chain.revealed.lock().unwrap());
        let items = messages.iter().flat_map(|message| &message.items);
        let revealed: Vec<Leaf> = items.map(|item| revealed(item, voucher)).collect();
        assert_eq!(revealed, paid);
    }

    fn enter(&self, status: SessionStatus, settlement: Option<SessionSettlement>) {
        self.chain.change(|session| {
            session.status = status.into();
            session.updated_height = 500;
            session.due_height = 600;
            session.settlement = settlement;
        });
    }
}

/// The leaf, after the checks of the chain.
fn revealed(item: &v1::LeafItem, settled: &v1::Voucher) -> Leaf {
    let leaf = Leaf::try_from(item.leaf.as_ref().unwrap()).unwrap();
    let hash = |bytes: &Vec<u8>| <[u8; 32]>::try_from(bytes.as_slice()).unwrap();
    let path: Vec<_> = item.path.iter().map(hash).collect();
    let root = root_of_path(&leaf.encode(), leaf.number, settled.count, &path);
    assert_eq!(root.unwrap().as_slice(), settled.root);
    assert_eq!(leaf.request, item.chat.as_ref().unwrap().digest());
    assert_eq!(leaf.answer, <[u8; 32]>::from(Sha256::digest(&item.answer)));
    leaf
}

fn lives(life: &Life) -> impl FnMut() -> bool + Send + 'static {
    let life = life.clone();
    move || life.goes_on()
}
