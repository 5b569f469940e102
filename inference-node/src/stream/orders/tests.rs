use poq_client::is_signature;
use poq_proto::v1::Finish;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::generator::testing::Parrot;
use crate::stream::testing::{
    CHAIN_ID, Played, SESSION, User, chat, desk, record, renew, signature, text as shown, user_key,
};

struct Scene {
    folder: TempDir,
    parrot: Arc<Parrot>,
    chain: Arc<Played>,
    desk: Arc<Desk>,
    user: User,
}

/// A node whose model says `words` words at once, `concurrency` answers at a time.
async fn scene(words: usize, concurrency: usize) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let parrot = Parrot::with_concurrency(words, concurrency);
    let chain = Played::new();
    let desk = desk(folder.path(), &parrot, &chain).await;
    Scene {
        folder,
        parrot,
        chain,
        desk,
        user: User::new(SESSION),
    }
}

fn read_signature(number: u64, offset: u64) -> [u8; 64] {
    let digest = Call::Read.digest(CHAIN_ID, SESSION, number, offset);
    user_key().sign_digest(&digest).unwrap()
}

fn stop_signature(number: u64) -> [u8; 64] {
    let digest = Call::Stop.digest(CHAIN_ID, SESSION, number, 0);
    user_key().sign_digest(&digest).unwrap()
}

impl Scene {
    async fn read(&self, number: u64, offset: u64) -> Result<Frames, Refusal> {
        let by = read_signature(number, offset);
        self.desk.read((SESSION, number), offset, &by).await
    }

    /// Orders, and returns the frames after the accept.
    async fn ordered(&mut self, question: &str) -> Frames {
        let order = self.user.order(chat(question));
        let mut frames = self.desk.order(order).await.unwrap();
        assert!(matches!(frames.next().await, Some(Frame::Accept { .. })));
        frames
    }

    /// Another process with the same journal.
    async fn restart(&mut self) {
        self.desk = desk(self.folder.path(), &self.parrot, &self.chain).await;
    }

    async fn code(&self, order: Order) -> RefusalCode {
        self.desk.order(order).await.err().unwrap().code
    }
}

#[tokio::test]
async fn an_order_is_accepted_streamed_and_receipted() {
    let mut scene = scene(99, 2).await;
    let order = scene.user.order(chat("one two three"));
    let voucher = Voucher::try_from(&order.voucher).unwrap();
    let mut frames = scene.desk.order(order).await.unwrap();
    let Some(Frame::Accept {
        signature,
        window,
        queue_position,
    }) = frames.next().await
    else {
        panic!("no accept");
    };
    assert_eq!((window, queue_position), (4, 0));
    let node = record(SESSION).node.unwrap().key;
    let digest = voucher.accept_digest(CHAIN_ID);
    assert!(is_signature(
        &node,
        &digest,
        &hex::decode(signature).unwrap()
    ));
    let (text, leaf) = scene.user.finished(frames).await;
    assert_eq!(text, "one two three");
    assert_eq!(leaf.answer, <[u8; 32]>::from(Sha256::digest(&text)));
    assert_eq!(leaf.finish, Finish::Stop);
    assert_eq!(
        (leaf.price, leaf.prompt_tokens, leaf.answer_tokens),
        (243, 3, 3)
    );

    // The next voucher acknowledges it.
    let frames = scene.ordered("four").await;
    let (_, leaf) = scene.user.finished(frames).await;
    assert_eq!((leaf.number, leaf.price, leaf.total), (1, 144, 0));
    let state = scene.desk.acknowledge(scene.user.acknowledgement()).await;
    let expected = SessionState {
        next: 2,
        count: 2,
        acknowledged: 2,
        open: vec![],
        window: 4,
    };
    assert_eq!(state.unwrap(), expected);
    // Read again, from anywhere.
    let frames: Vec<Frame> = scene.read(0, 4).await.unwrap().collect().await;
    assert_eq!(shown(&frames), "two three");
    assert!(matches!(frames.last(), Some(Frame::Receipt { leaf, .. }) if leaf.number == 0));
}

#[tokio::test]
async fn a_client_that_leaves_ends_nothing_and_can_come_back() {
    let mut scene = scene(1, 2).await;
    let mut frames = scene.ordered("one two three").await;
    let first = frames.next().await.unwrap();
    assert_eq!(shown(&[first]), "one ");
    drop(frames);
    let again = scene.read(0, 0).await.unwrap();
    let rest = scene.read(0, 4).await.unwrap();
    scene.parrot.permits.add_permits(9);
    let (text, _) = scene.user.finished(again).await;
    assert_eq!(text, "one two three");
    let rest: Vec<Frame> = rest.collect().await;
    assert_eq!(shown(&rest), "two three");
    assert_eq!(
        scene.read(1, 0).await.err().unwrap().code,
        RefusalCode::NotFound
    );
}

#[tokio::test]
async fn only_the_signed_stop_ends_an_answer_with_the_text_so_far() {
    let mut scene = scene(1, 2).await;
    let mut frames = scene.ordered("one two three").await;
    assert_eq!(shown(&[frames.next().await.unwrap()]), "one ");
    let wrong = scene.desk.stop((SESSION, 0), &read_signature(0, 0)).await;
    assert_eq!(wrong.unwrap_err().code, RefusalCode::Unauthorized);
    let unknown = scene.desk.stop((SESSION, 1), &stop_signature(1)).await;
    assert_eq!(unknown.unwrap_err().code, RefusalCode::NotFound);
    scene
        .desk
        .stop((SESSION, 0), &stop_signature(0))
        .await
        .unwrap();
    drop(frames);
    let again = scene.read(0, 0).await.unwrap();
    let (text, leaf) = scene.user.finished(again).await;
    assert_eq!((text.as_str(), leaf.finish), ("one ", Finish::User));
    // Stopped before the first token: base and prompt are due.
    let frames = scene.ordered("silence").await;
    scene
        .desk
        .stop((SESSION, 1), &stop_signature(1))
        .await
        .unwrap();
    let (text, leaf) = scene.user.finished(frames).await;
    assert_eq!(
        (text.as_str(), leaf.finish, leaf.price),
        ("", Finish::User, 107)
    );
    assert_eq!(leaf.answer, <[u8; 32]>::from(Sha256::digest("")));
    // A stop that comes late changes nothing.
    let state = scene.desk.stop((SESSION, 1), &stop_signature(1)).await;
    assert_eq!(state.unwrap().count, 2);
}

#[tokio::test]
async fn a_receipt_waits_for_no_answer_before_its_own() {
    let mut scene = scene(0, 3).await;
    let slow = scene.ordered("slow one").await;
    scene.parrot.has_begun(&["slow one"]).await;
    let fast = scene.ordered("fast").await;
    scene
        .desk
        .stop((SESSION, 1), &stop_signature(1))
        .await
        .unwrap();
    let (_, second) = scene.user.finished(fast).await;
    assert_eq!((second.number, second.total), (1, 0));
    let read = scene.read(1, 0).await.unwrap();
    let (_, again) = scene.user.finished(read).await;
    assert_eq!(again, second);
    // The log waits.
    let total = |scene: &Scene| {
        let session = scene.desk.find(SESSION).unwrap();
        let state = session.lock();
        state.log.leaf(1).map(|leaf| leaf.total)
    };
    assert_eq!(total(&scene), None);
    scene.parrot.permits.add_permits(9);
    let (_, first) = scene.user.finished(slow).await;
    assert_eq!(total(&scene), Some(first.price + second.price));
    let state = scene.desk.acknowledge(scene.user.acknowledgement()).await;
    assert_eq!(state.unwrap().acknowledged, 2);
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_uses_no_number() {
    let mut scene = scene(99, 2).await;
    let good = scene.user.order(chat("one"));
    let with = |change: fn(&mut v1::Voucher)| {
        let mut order = good.clone();
        change(&mut order.voucher);
        let voucher = Voucher::try_from(&order.voucher).unwrap();
        order.signature = signature(&voucher.digest(CHAIN_ID));
        order
    };
    let unsigned = Order {
        signature: "00".repeat(64),
        ..good.clone()
    };
    for (order, expected) in [
        (with(|voucher| voucher.session = 8), RefusalCode::NotFound),
        (with(|voucher| voucher.number = 1), RefusalCode::WrongNumber),
        (with(|voucher| voucher.amount = 1), RefusalCode::WrongLog),
        (with(|voucher| voucher.count = 1), RefusalCode::WrongLog),
        (with(|voucher| voucher.authorized += 1), RefusalCode::Escrow),
        (
            with(|voucher| voucher.request = vec![9; 32]),
            RefusalCode::Malformed,
        ),
        (
            with(|voucher| voucher.request = vec![0; 32]),
            RefusalCode::Malformed,
        ),
        (unsigned, RefusalCode::Unauthorized),
    ] {
        assert_eq!(scene.code(order).await, expected);
    }
    let short = Order {
        signature: "00".into(),
        ..good.clone()
    };
    assert_eq!(scene.code(short).await, RefusalCode::Malformed);
    let asks = |chat: v1::Chat| User::new(SESSION).order(chat);
    let demanding = v1::Chat {
        min_quality: 750_000,
        ..chat("one")
    };
    assert_eq!(scene.code(asks(demanding)).await, RefusalCode::Quality);
    let other = v1::Chat {
        model: "other".into(),
        ..chat("one")
    };
    assert_eq!(scene.code(asks(other)).await, RefusalCode::Chat);
    let dear = v1::Chat {
        max_answer_bytes: 1_000,
        ..chat("one")
    };
    assert_eq!(scene.code(asks(dear)).await, RefusalCode::Price);
    // The number is still free.
    assert!(scene.desk.order(good).await.is_ok());
}

#[tokio::test]
async fn only_an_open_session_takes_orders() {
    let mut scene = scene(99, 2).await;
    let frames = scene.ordered("one").await;
    scene.user.finished(frames).await;
    scene
        .chain
        .change(|session| session.status = SessionStatus::Closing.into());
    renew(&scene.desk).await;
    let order = scene.user.order(chat("two"));
    assert_eq!(scene.code(order).await, RefusalCode::Closed);
    // All else goes on.
    let mut user = User::new(SESSION);
    user.order(chat("one"));
    let frames = scene.read(0, 0).await.unwrap();
    user.finished(frames).await;
    let state = scene
        .desk
        .acknowledge(user.acknowledgement())
        .await
        .unwrap();
    assert_eq!(state.acknowledged, 1);
    scene
        .chain
        .change(|session| session.status = SessionStatus::Drawing.into());
    renew(&scene.desk).await;
    let late = scene.desk.acknowledge(user.acknowledgement()).await;
    assert_eq!(late.unwrap_err().code, RefusalCode::Closed);
    assert!(scene.read(0, 0).await.is_ok());
}

#[tokio::test]
async fn the_window_bounds_what_is_not_acknowledged_and_grows() {
    let mut scene = scene(999, 9).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(scene.ordered("a").await);
    }
    let fifth = scene.user.order(chat("a"));
    assert_eq!(scene.code(fifth).await, RefusalCode::Busy);
    let mut user = User::new(SESSION);
    for _ in 0..4 {
        user.order(chat("a"));
    }
    for frames in answers {
        user.finished(frames).await;
    }
    let state = scene
        .desk
        .acknowledge(user.acknowledgement())
        .await
        .unwrap();
    assert_eq!((state.acknowledged, state.window), (4, 8));
    // The account keeps it, also for its next session and after a restart.
    scene.chain.sessions().insert(8, record(8));
    scene.restart().await;
    let digest = Call::Read.digest(CHAIN_ID, 8, WHOLE_SESSION, 0);
    let by = user_key().sign_digest(&digest).unwrap();
    assert_eq!(scene.desk.look(8, &by).await.unwrap().window, 8);
}

#[tokio::test]
async fn all_places_taken_is_busy() {
    let mut scene = scene(0, 2).await;
    // One place is for duties; one answer runs, two wait.
    for position in [0, 0, 1] {
        let order = scene.user.order(chat("a"));
        let mut frames = scene.desk.order(order).await.unwrap();
        let accept = frames.next().await;
        assert!(
            matches!(accept, Some(Frame::Accept { queue_position, .. }) if queue_position == position),
            "{accept:?}"
        );
    }
    let order = scene.user.order(chat("a"));
    assert_eq!(scene.code(order.clone()).await, RefusalCode::Busy);
    scene.parrot.permits.add_permits(9);
    while scene.desk.find(SESSION).unwrap().lock().log.open().count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(scene.desk.order(order).await.is_ok());
}

#[tokio::test]
async fn after_a_crash_the_log_goes_on_and_what_was_lost_is_void() {
    let mut scene = scene(1, 2).await;
    let frames = scene.ordered("one").await;
    scene.user.finished(frames).await;
    let lost = scene.ordered("lost words").await;
    drop(lost);
    scene.restart().await;
    let digest = Call::Read.digest(CHAIN_ID, SESSION, WHOLE_SESSION, 0);
    let by = user_key().sign_digest(&digest).unwrap();
    let state = scene.desk.look(SESSION, &by).await.unwrap();
    assert_eq!((state.next, state.count, state.open), (2, 2, vec![]));
    let frames = scene.read(1, 0).await.unwrap();
    let (text, leaf) = scene.user.finished(frames).await;
    assert_eq!(
        (text.as_str(), leaf.finish, leaf.price),
        ("", Finish::Void, 0)
    );
    scene.parrot.permits.add_permits(9);
    let frames = scene.ordered("two").await;
    let (_, leaf) = scene.user.finished(frames).await;
    assert_eq!(leaf.number, 2);
}

#[tokio::test]
async fn a_model_that_fails_gives_a_void_leaf() {
    let mut scene = scene(99, 2).await;
    scene.parrot.hoarse.cancel();
    let frames = scene.ordered("one").await;
    let (_, leaf) = scene.user.finished(frames).await;
    assert_eq!((leaf.finish, leaf.price), (Finish::Void, 0));
}

#[tokio::test]
async fn another_session_with_the_same_number_is_not_taken_for_the_kept_one() {
    let mut scene = scene(99, 2).await;
    let frames = scene.ordered("one").await;
    scene.user.finished(frames).await;
    scene.chain.change(|session| {
        let node = session.node.as_mut().unwrap();
        node.beacon = vec![9; 32];
    });
    renew(&scene.desk).await;
    let order = User::new(SESSION).order(chat("one"));
    assert_eq!(scene.code(order).await, RefusalCode::Failed);
}

#[tokio::test]
async fn a_session_that_is_over_is_not_opened_again() {
    let mut scene = scene(99, 2).await;
    let frames = scene.ordered("one").await;
    scene.user.finished(frames).await;
    let over = scene.desk.journal.write(Write::Over(SESSION)).stored();
    over.await.unwrap();
    scene.desk.forget(SESSION);
    // The node's state may be an old one.
    let order = User::new(SESSION).order(chat("one"));
    assert_eq!(scene.code(order).await, RefusalCode::Closed);
}
