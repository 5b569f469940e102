//! A played chain and a user, for tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use poq_client::session::{Acknowledgement, Frame, Order};
use poq_client::{Key, Result, is_signature};
use poq_judge::Panel;
use poq_proto::v1::{
    self, ChatMessage, ChatRole, MsgRevealLeaves, MsgSettleSessions, Params, SessionNode,
    SessionResult, SessionRules, SessionStatus, Terms,
};
use poq_proto::{Leaf, Voucher};
use poq_worker::Health;
use prost::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::chain::{Batch, Chain};
use super::chat::Limits;
use super::journal::Journal;
use super::log::{Allowed, Asked, Ended, Log};
use super::orders::{Desk, Frames, Identity};
use super::pay::Answered;
use super::records::Records;
use crate::compute::{Compute, GuestLimits, SessionLimits};
use crate::generator::testing::Parrot;

pub(super) const CHAIN_ID: &str = "poq-test-1";
pub(super) const OPERATOR: &str = "poq1node";
/// The session of most tests.
pub(super) const SESSION: u64 = 7;
/// Long enough never to pass in a test.
const NEVER: Duration = Duration::from_secs(3600);

fn node_key() -> Key {
    Key::from_bytes(&[1; 32]).unwrap()
}

/// The key of the users' sessions.
pub(super) fn user_key() -> Key {
    Key::from_bytes(&[2; 32]).unwrap()
}

/// An open session of the played node: 100 per answer, 1 per byte of the prompt and 10 of the answer.
pub(super) fn record(id: u64) -> v1::Session {
    v1::Session {
        id,
        user: "poq1user".into(),
        model: "m".into(),
        escrow: 100_000,
        session_key: user_key().public_key(),
        blocks: 1_000,
        status: SessionStatus::Open.into(),
        due_height: 1_000,
        terms: Some(Terms {
            base_price: 100,
            price_per_prompt_byte: 1,
            price_per_answer_byte: 10,
            quality_target: 800_000,
            ..Terms::default()
        }),
        rules: Some(SessionRules {
            max_prompt_bytes: 1_000,
            max_answer_bytes: 1_000,
            max_order_price: 10_000,
            ..SessionRules::default()
        }),
        node: Some(SessionNode {
            operator: OPERATOR.into(),
            key: node_key().public_key(),
            ..SessionNode::default()
        }),
        ..v1::Session::default()
    }
}

/// A chain whose sessions the test changes.
#[derive(Default)]
pub(super) struct Played {
    sessions: Mutex<BTreeMap<u64, v1::Session>>,
    is_unreachable: AtomicBool,
    /// What was handed in.
    pub(super) settled: Mutex<Vec<MsgSettleSessions>>,
    /// What was handed in.
    pub(super) revealed: Mutex<Vec<MsgRevealLeaves>>,
}

impl Played {
    /// With [`SESSION`].
    pub(super) fn new() -> Arc<Self> {
        let played = Arc::new(Self::default());
        played.sessions().insert(SESSION, record(SESSION));
        played
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, BTreeMap<u64, v1::Session>> {
        self.sessions.lock().unwrap()
    }

    /// Whether its node answers.
    pub(super) fn set_reachable(&self, is_reachable: bool) {
        self.is_unreachable.store(!is_reachable, Ordering::Relaxed);
    }

    /// Changes [`SESSION`].
    pub(super) fn change(&self, change: impl FnOnce(&mut v1::Session)) {
        change(self.sessions().get_mut(&SESSION).unwrap());
    }
}

#[async_trait]
impl Chain for Played {
    async fn session(&self, id: u64) -> Result<Option<v1::Session>> {
        Ok(self.sessions().get(&id).cloned())
    }

    async fn sessions(&self) -> Result<Vec<v1::Session>> {
        if self.is_unreachable.load(Ordering::Relaxed) {
            return Err(poq_client::Error::Decode {
                what: "sessions".into(),
                reason: "played".into(),
            });
        }
        let sessions = self.sessions();
        let own = sessions.values().filter(|session| session.node.is_some());
        Ok(own.cloned().collect())
    }

    async fn params(&self) -> Result<Params> {
        Ok(Params {
            max_batch_items: 10,
            max_tx_bytes: 100_000,
            ..Params::default()
        })
    }

    async fn panel(&self, _: &str) -> Result<Panel> {
        Ok(Panel::default())
    }

    async fn hand_in(&self, batch: Batch, _: u64) -> Result<Vec<SessionResult>> {
        match batch {
            Batch::Settle(any) => {
                let message = MsgSettleSessions::decode(any.value.as_slice()).unwrap();
                self.settled.lock().unwrap().push(message);
            }
            Batch::Reveal(any) => {
                let message = MsgRevealLeaves::decode(any.value.as_slice()).unwrap();
                self.revealed.lock().unwrap().push(message);
            }
        }
        Ok(Vec::new())
    }
}

/// A desk whose journal is in `folder`.
pub(super) async fn desk(folder: &Path, parrot: &Arc<Parrot>, chain: &Arc<Played>) -> Arc<Desk> {
    mortal_desk(folder, parrot, chain, || true).await
}

/// A desk that hands its answers to be scored.
pub(super) async fn watched_desk(
    folder: &Path,
    parrot: &Arc<Parrot>,
    chain: &Arc<Played>,
    answered: mpsc::Sender<Answered>,
) -> Arc<Desk> {
    any_desk(folder, parrot, chain, (|| true, Some(answered))).await
}

/// A desk whose journal lives as [`Journal::open_while`] says.
pub(super) async fn mortal_desk(
    folder: &Path,
    parrot: &Arc<Parrot>,
    chain: &Arc<Played>,
    lives: impl FnMut() -> bool + Send + 'static,
) -> Arc<Desk> {
    any_desk(folder, parrot, chain, (lives, None)).await
}

async fn any_desk(
    folder: &Path,
    parrot: &Arc<Parrot>,
    chain: &Arc<Played>,
    (lives, answered): (
        impl FnMut() -> bool + Send + 'static,
        Option<mpsc::Sender<Answered>>,
    ),
) -> Arc<Desk> {
    let guests = GuestLimits {
        queue: 0,
        deadline: NEVER,
    };
    let sessions = SessionLimits {
        queue: 2,
        start: NEVER,
        deadline: NEVER,
        duty_wait: NEVER,
    };
    let identity = Identity {
        chain_id: CHAIN_ID.into(),
        key: node_key(),
    };
    let limits = Limits {
        model: "m".into(),
        max_prompt_bytes: 1_000,
        max_tokens: 100,
        max_min_quality: 700_000,
    };
    let desk = Desk::new(
        identity,
        Journal::open_while(
            &folder.join("stream.db"),
            CHAIN_ID,
            &Health::default(),
            lives,
        )
        .unwrap(),
        Records::new(chain.clone(), OPERATOR),
        Compute::with_sessions(parrot.clone(), guests, sessions),
        limits,
        CancellationToken::new(),
        answered,
    );
    let desk = desk.await.unwrap();
    renew(&desk).await;
    desk
}

/// Lets the desk see the chain's newest state.
pub(super) async fn renew(desk: &Desk) {
    let kept: Vec<u64> = desk.all().iter().map(|one| one.record.id).collect();
    desk.records.renew(&kept).await.unwrap();
}

/// A chat with one question and an answer of at most 500 bytes.
pub(super) fn chat(question: &str) -> v1::Chat {
    v1::Chat {
        model: "m".into(),
        messages: vec![ChatMessage {
            role: ChatRole::User.into(),
            text: question.into(),
        }],
        max_answer_bytes: 500,
        ..v1::Chat::default()
    }
}

/// The user of a session, who keeps the same log and checks what the node signs.
pub(super) struct User {
    pub(super) session: u64,
    pub(super) log: Log,
}

impl User {
    /// The user of [`record`].
    pub(super) fn new(session: u64) -> Self {
        let record = record(session);
        let allowed = Allowed {
            terms: record.terms.unwrap(),
            escrow: record.escrow,
            max_order_price: record.rules.unwrap().max_order_price,
            max_orders: None,
        };
        Self {
            session,
            log: Log::new(allowed),
        }
    }

    /// The voucher of the next order, which acknowledges all receipts.
    pub(super) fn voucher(&self, asked: Option<&Asked>) -> Voucher {
        let count = self.log.count();
        let ceiling = asked.map_or(0, |asked| self.log.ceiling(asked));
        Voucher {
            session: self.session,
            number: self.log.next(),
            request: asked.map_or([0; 32], |asked| asked.request),
            count,
            root: self.log.root(count).unwrap(),
            amount: self.log.amount(count),
            authorized: self.log.authorized(count) + ceiling,
        }
    }

    /// An order of a chat.
    pub(super) fn order(&mut self, chat: v1::Chat) -> Order {
        let asked = Asked {
            request: chat.digest(),
            prompt_bytes: chat.prompt_bytes() as u32,
            max_answer_bytes: chat.max_answer_bytes,
            min_quality: chat.min_quality,
        };
        let voucher = self.voucher(Some(&asked));
        self.log.order(asked);
        Order {
            voucher: (&voucher).into(),
            signature: signature(&voucher.digest(CHAIN_ID)),
            chat,
        }
    }

    /// Acknowledges all receipts.
    pub(super) fn acknowledgement(&self) -> Acknowledgement {
        let voucher = self.voucher(None);
        Acknowledgement {
            voucher: (&voucher).into(),
            signature: signature(&voucher.digest(CHAIN_ID)),
        }
    }

    /// Checks a receipt against the text and adds it to the log.
    pub(super) fn receive(&mut self, text: &str, leaf: &v1::Leaf, signature: &str) -> Leaf {
        let leaf = Leaf::try_from(leaf).unwrap();
        let digest = leaf.receipt_digest(CHAIN_ID, self.session);
        let signature = hex::decode(signature).unwrap();
        assert!(is_signature(&node_key().public_key(), &digest, &signature));
        let ended = Ended {
            answer: leaf.answer,
            answer_bytes: text.len() as u32,
            prompt_tokens: leaf.prompt_tokens,
            answer_tokens: leaf.answer_tokens,
            finish: leaf.finish,
        };
        self.log.finish(leaf.number, ended);
        assert_eq!(self.log.receipt(leaf.number), Some(leaf));
        leaf
    }

    /// Reads an answer to its receipt: the text and the leaf.
    pub(super) async fn finished(&mut self, frames: Frames) -> (String, Leaf) {
        let frames: Vec<Frame> = frames.collect().await;
        let text = text(&frames);
        let Some(Frame::Receipt { leaf, signature }) = frames.last() else {
            panic!("no receipt: {frames:?}");
        };
        let leaf = self.receive(&text, leaf, signature);
        (text, leaf)
    }
}

/// The user's signature in hex.
pub(super) fn signature(digest: &[u8; 32]) -> String {
    hex::encode(user_key().sign_digest(digest).unwrap())
}

/// The text in frames, without gaps.
pub(super) fn text(frames: &[Frame]) -> String {
    let mut text = String::new();
    let mut at = None;
    for frame in frames {
        if let Frame::Text { offset, delta } = frame {
            assert_eq!(at.unwrap_or(*offset), *offset);
            at = Some(offset + delta.len() as u64);
            text.push_str(delta);
        }
    }
    text
}
