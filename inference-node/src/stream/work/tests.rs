use futures::StreamExt;
use poq_proto::merkle::root_of_path;
use poq_proto::v1::{self, SessionSettlement, SessionStatus};
use poq_proto::{Leaf, Voucher};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::generator::testing::Parrot;
use crate::stream::testing::{OPERATOR, Played, SESSION, User, chat, desk};

struct Scene {
    _folder: TempDir,
    chain: Arc<Played>,
    work: Work,
    user: User,
}

/// A session with answers to these questions, all of them acknowledged but the last `open`.
async fn scene(questions: &[&str], open: usize) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let chain = Played::new();
    let parrot = Parrot::with_concurrency(999, 2);
    let desk = desk(folder.path(), &parrot, &chain).await;
    let mut user = User::new(SESSION);
    for (number, question) in questions.iter().enumerate() {
        let order = user.order(chat(question));
        let frames = desk.order(order).await.unwrap();
        user.finished(Box::pin(frames.skip(1))).await;
        if number + 1 + open == questions.len() {
            desk.acknowledge(user.acknowledgement()).await.unwrap();
        }
    }
    let work = Work {
        desk,
        chain: chain.clone(),
        operator: OPERATOR.into(),
        health: Health::default(),
    };
    Scene {
        _folder: folder,
        chain,
        work,
        user,
    }
}

impl Scene {
    async fn block(&self, height: u64) {
        assert!(self.work.renew().await);
        self.work.block(height).await;
    }

    fn change(&self, status: SessionStatus, settlement: Option<SessionSettlement>) {
        self.chain.change(|session| {
            session.status = status.into();
            session.updated_height = 500;
            session.due_height = 600;
            session.settlement = settlement;
        });
    }

    /// The numbers that were revealed since the last call, each after a check of everything that the
    /// chain checks.
    fn revealed(&self, settlement: &SessionSettlement) -> Vec<u64> {
        let messages = std::mem::take(&mut *self.chain.revealed.lock().unwrap());
        let items = messages.iter().flat_map(|message| {
            assert_eq!(message.operator, OPERATOR);
            &message.items
        });
        items
            .map(|item| {
                let leaf = Leaf::try_from(item.leaf.as_ref().unwrap()).unwrap();
                let path: Vec<[u8; 32]> = item
                    .path
                    .iter()
                    .map(|hash| hash.as_slice().try_into().unwrap())
                    .collect();
                let root = root_of_path(&leaf.encode(), leaf.number, settlement.count, &path);
                assert_eq!(root.unwrap().as_slice(), settlement.root);
                let chat = item.chat.as_ref().unwrap();
                assert_eq!(leaf.request, chat.digest());
                assert_eq!(leaf.answer, <[u8; 32]>::from(Sha256::digest(&item.answer)));
                assert_eq!(item.session, SESSION);
                leaf.number
            })
            .collect()
    }
}

fn settlement(voucher: &v1::Voucher) -> SessionSettlement {
    SessionSettlement {
        count: voucher.count,
        root: voucher.root.clone(),
        amount: voucher.amount,
        ..SessionSettlement::default()
    }
}

#[tokio::test]
async fn a_session_is_settled_revealed_and_forgotten() {
    let scene = scene(&["one", "two", "three four"], 0).await;
    scene.block(10).await;
    assert!(scene.chain.settled.lock().unwrap().is_empty());
    scene.change(SessionStatus::Closing, None);
    scene.block(501).await;
    let message = scene.chain.settled.lock().unwrap().pop().unwrap();
    assert_eq!(message.operator, OPERATOR);
    let [item] = message.items.as_slice() else {
        panic!("{message:?}");
    };
    let voucher = item.voucher.as_ref().unwrap();
    let expected = scene.user.acknowledgement();
    assert_eq!(*voucher, expected.voucher);
    assert_eq!(hex::encode(&item.signature), expected.signature);
    assert_eq!(item.unacknowledged, 0);
    assert_eq!(Voucher::try_from(voucher).unwrap().count, 3);

    // Not drawn yet, then two of the leaves, then only one of these is missing.
    let settled = settlement(voucher);
    scene.change(SessionStatus::Drawing, Some(settled.clone()));
    scene.block(502).await;
    assert!(scene.revealed(&settled).is_empty());
    let drawn = |open_points: &[u64]| SessionSettlement {
        open_points: open_points.to_vec(),
        ..settled.clone()
    };
    let points = [5, settled.amount - 1];
    for (open, expected) in [(&points[..], vec![0, 2]), (&points[1..], vec![2])] {
        scene.change(SessionStatus::Revealing, Some(drawn(open)));
        scene.block(503).await;
        assert_eq!(scene.revealed(&settled), expected);
    }
    let all = SessionSettlement {
        all_drawn: true,
        ..settled.clone()
    };
    scene.change(SessionStatus::Revealing, Some(all.clone()));
    scene.block(504).await;
    assert_eq!(scene.revealed(&settled), [0, 1, 2]);
    // At its last height it is too late.
    scene.block(600).await;
    assert!(scene.revealed(&settled).is_empty());

    scene.change(SessionStatus::Scoring, Some(all));
    scene.block(505).await;
    assert!(scene.work.desk.find(SESSION).is_some());
    scene.change(SessionStatus::Final, None);
    scene.block(506).await;
    assert!(scene.work.desk.find(SESSION).is_none());
    let journal = &scene.work.desk.journal;
    assert_eq!(journal.served(SESSION, 0).await.unwrap(), None);
    assert!(journal.is_over(SESSION).await.unwrap());
}

#[tokio::test]
async fn what_is_not_acknowledged_is_named_and_sent_again_until_it_is_settled() {
    let scene = scene(&["one", "two"], 1).await;
    scene.change(SessionStatus::Closing, None);
    for height in [501, 520, 521] {
        scene.block(height).await;
    }
    let messages = scene.chain.settled.lock().unwrap().clone();
    assert_eq!(messages.len(), 2);
    for message in messages {
        let item = &message.items[0];
        assert_eq!(item.voucher.as_ref().unwrap().count, 1);
        assert_eq!(item.unacknowledged, 5_103);
    }
}

#[tokio::test]
async fn another_log_on_the_chain_is_not_revealed() {
    let scene = scene(&["one"], 0).await;
    let other = SessionSettlement {
        count: 1,
        root: vec![9; 32],
        amount: 100,
        all_drawn: true,
        ..SessionSettlement::default()
    };
    scene.change(SessionStatus::Revealing, Some(other.clone()));
    scene.block(501).await;
    assert!(scene.revealed(&other).is_empty());
}
