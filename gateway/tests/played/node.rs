//! A node that serves sessions, and fails as a test tells it.

mod api;
mod held;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::stream;
use poq_client::session::{Frame, Order, Refusal, RefusalCode};
use poq_client::{Key, is_signature};
use poq_proto::Voucher;
use poq_proto::v1::{self, Finish, Role, SessionSettlement, SessionStatus};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::chain::{ID, PlayedChain};
use super::serve;
use held::{Held, Taken, root};

const TICK: Duration = Duration::from_millis(3);
/// Orders beyond the log, unless a test allows more.
const WINDOW: u32 = 4;

/// What a node does with its next order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers.
    Plain,
    /// Refuses it.
    Refuse(RefusalCode),
    /// Takes it, and closes the connection without an accept.
    SwallowAccept,
    /// Closes the connection without having seen it.
    SwallowOrder,
    /// Closes the stream after so many bytes of text; a read goes on.
    Cut(usize),
    /// Is gone for good after so many bytes of text.
    Die(usize),
    /// Writes on until it is stopped.
    Endless,
    /// Asks too much.
    WrongPrice,
    /// Signs another text.
    WrongText,
    /// Signs with another key.
    WrongKey,
    /// Does not serve what it took.
    Void,
    /// Says nothing after so many bytes of text; a read goes on.
    Silent(usize),
    /// Lives, but writes no word and ends for nobody.
    Mute,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<u64, Held>,
    script: VecDeque<Behaviour>,
    is_dead: bool,
    orders: usize,
    window: Option<u32>,
}

impl Inner {
    fn window(&self) -> u32 {
        self.window.unwrap_or(WINDOW)
    }
}

/// The node. Clones are the same one.
#[derive(Clone)]
pub(crate) struct PlayedNode {
    pub(crate) operator: String,
    key: Key,
    chain: PlayedChain,
    inner: Arc<Mutex<Inner>>,
}

type Refused = (StatusCode, Json<serde_json::Value>);

fn refusal(code: RefusalCode, next: Option<u64>) -> Refused {
    let refusal = Refusal {
        code,
        message: "it is played".into(),
        next,
    };
    let status = StatusCode::from_u16(code.status()).unwrap();
    (status, Json(json!({ "error": refusal })))
}

impl PlayedNode {
    /// Starts a node and registers it.
    pub(crate) async fn start(name: &str, chain: &PlayedChain) -> Self {
        let secret: [u8; 32] = Sha256::digest(name).into();
        let node = Self {
            operator: format!("poq1{name}"),
            key: Key::from_bytes(&secret).unwrap(),
            chain: chain.clone(),
            inner: Arc::default(),
        };
        let address = serve::serve(api::router(node.clone())).await;
        chain.register(v1::Node {
            role: Role::Inference.into(),
            operator: node.operator.clone(),
            stream: Some(v1::Stream {
                url: format!("https://{address}"),
                key: node.key.public_key(),
                tls_spki_sha256: serve::pin(),
            }),
            ..v1::Node::default()
        });
        node
    }

    /// What it does with its next orders; later ones are answered.
    pub(crate) fn script(&self, behaviours: &[Behaviour]) {
        self.lock().script.extend(behaviours);
    }

    /// Takes so many orders beyond the log.
    pub(crate) fn allow(&self, window: u32) {
        self.lock().window = Some(window);
    }

    /// Comes back from the dead.
    pub(crate) fn revive(&self) {
        self.lock().is_dead = false;
    }

    /// Orders that it saw, refused ones included.
    pub(crate) fn orders(&self) -> usize {
        self.lock().orders
    }

    /// The chats that it took.
    pub(crate) fn chats(&self) -> Vec<v1::Chat> {
        let inner = self.lock();
        let taken = inner.sessions.values().flat_map(|held| &held.taken);
        taken.map(|taken| taken.chat.clone()).collect()
    }

    /// Leaves written and acknowledged, and the amount acknowledged, over all sessions.
    pub(crate) fn account(&self) -> (u64, u64, u64) {
        let inner = self.lock();
        inner.sessions.values().fold((0, 0, 0), |sum, held| {
            let written = held.log.len() as u64;
            (
                sum.0 + written,
                sum.1 + held.acknowledged,
                sum.2 + held.amount,
            )
        })
    }

    /// The most that it could claim and have burnt, in any of its sessions.
    pub(crate) fn exposure(&self) -> u64 {
        let inner = self.lock();
        inner
            .sessions
            .values()
            .map(|held| held.unacknowledged)
            .max()
            .unwrap_or(0)
    }

    /// What it settles a session with.
    pub(crate) fn settlement(&self, session: u64) -> SessionSettlement {
        let inner = self.lock();
        let held = &inner.sessions[&session];
        let log = &held.log[..held.acknowledged as usize];
        SessionSettlement {
            count: held.acknowledged,
            root: root(log).to_vec(),
            amount: held.amount,
            ..SessionSettlement::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn check(
        &self,
        session: u64,
        digest: &[u8; 32],
        signature: &str,
    ) -> Result<v1::Session, Refused> {
        let unauthorized = || refusal(RefusalCode::Unauthorized, None);
        let record = self.chain.record(session).ok_or_else(unauthorized)?;
        let signature = hex::decode(signature).unwrap();
        match is_signature(&record.session_key, digest, &signature) {
            true => Ok(record),
            false => Err(unauthorized()),
        }
    }

    /// The rules of a node (docs/sessions.md).
    fn admit(&self, order: &Order) -> Result<(Voucher, Behaviour), Refused> {
        let voucher = Voucher::try_from(&order.voucher).unwrap();
        let record = self.check(voucher.session, &voucher.digest(ID), &order.signature)?;
        let mut inner = self.lock();
        inner.orders += 1;
        if record.status() != SessionStatus::Open {
            return Err(refusal(RefusalCode::Closed, None));
        }
        let behaviour = inner.script.pop_front().unwrap_or(Behaviour::Plain);
        if let Behaviour::Refuse(code) = behaviour {
            return Err(refusal(code, None));
        }
        if behaviour == Behaviour::SwallowOrder {
            return Ok((voucher, behaviour));
        }
        let window = inner.window();
        let held = inner.sessions.entry(voucher.session).or_default();
        assert_eq!(order.chat.digest(), voucher.request);
        assert_eq!(order.chat.fault(), None);
        if voucher.number != held.taken.len() as u64 {
            return Err(refusal(
                RefusalCode::WrongNumber,
                Some(held.taken.len() as u64),
            ));
        }
        held.take(&record, &voucher, (Some(&order.chat), window))?;
        held.taken.push(Taken {
            chat: order.chat.clone(),
            behaviour,
            text: String::new(),
            finish: None,
            receipt: None,
        });
        drop(inner);
        tokio::spawn(
            self.clone()
                .write(voucher.session, voucher.number, behaviour),
        );
        Ok((voucher, behaviour))
    }

    /// Writes an answer word by word, then its leaf when its turn comes.
    async fn write(self, session: u64, number: u64, behaviour: Behaviour) {
        let mut words = 0;
        while self.write_word(session, number, words, behaviour) {
            words += 1;
            sleep(TICK).await;
        }
        self.finish(session, number, behaviour);
    }

    /// Writes a word; returns whether there may be more.
    fn write_word(&self, session: u64, number: u64, words: usize, behaviour: Behaviour) -> bool {
        let mut inner = self.lock();
        let held = inner.sessions.get_mut(&session).unwrap();
        let taken = &mut held.taken[number as usize];
        let question = &taken.chat.messages.last().unwrap().text;
        let answer = format!("{} says: {question}", self.operator);
        let next = match answer.split_inclusive(' ').nth(words) {
            Some(word) => word.to_owned(),
            None if behaviour == Behaviour::Endless => "more ".to_owned(),
            None => String::new(),
        };
        let is_full = taken.text.len() + next.len() > taken.chat.max_answer_bytes as usize;
        let finish = match behaviour {
            Behaviour::Void => Finish::Void,
            Behaviour::Mute => return true,
            _ if is_full => Finish::Length,
            _ if next.is_empty() => Finish::Stop,
            _ if taken.finish.is_some() => return false,
            _ => {
                taken.text.push_str(&next);
                return true;
            }
        };
        taken.finish.get_or_insert(finish);
        false
    }

    fn finish(&self, session: u64, number: u64, behaviour: Behaviour) {
        let record = self.chain.record(session).unwrap();
        let mut inner = self.lock();
        let held = inner.sessions.get_mut(&session).unwrap();
        held.finish(&record, number as usize, behaviour);
    }

    /// What there is of an answer from a byte on.
    fn frames(
        &self,
        session: u64,
        number: u64,
        from: usize,
        cut: Option<usize>,
    ) -> Vec<Result<Frame, ()>> {
        let mut inner = self.lock();
        if inner.is_dead {
            return vec![Err(())];
        }
        let held = &inner.sessions[&session];
        let taken = &held.taken[number as usize];
        let mut frames = Vec::new();
        let until = cut.map_or(taken.text.len(), |cut| cut.min(taken.text.len()));
        let mut from = from;
        while from < until {
            // A token or two at once.
            let end = (from + 4..until).find(|end| taken.text.is_char_boundary(*end));
            let end = end.unwrap_or(until);
            frames.push(Ok(Frame::Text {
                offset: from as u64,
                delta: taken.text[from..end].to_owned(),
            }));
            from = end;
        }
        let is_silent = matches!(taken.behaviour, Behaviour::Silent(_));
        if cut == Some(until) && is_silent {
            return frames;
        }
        if cut == Some(until) {
            frames.push(Err(()));
            inner.is_dead = matches!(taken.behaviour, Behaviour::Die(_));
        } else if let Some(receipt) = taken.receipt {
            let key = match taken.behaviour {
                Behaviour::WrongKey => Key::from_bytes(&[9; 32]).unwrap(),
                _ => self.key.clone(),
            };
            let signature = key
                .sign_digest(&receipt.receipt_digest(ID, session))
                .unwrap();
            frames.push(Ok(Frame::Receipt {
                leaf: (&receipt).into(),
                signature: hex::encode(signature),
            }));
        }
        frames
    }

    fn is_mute(&self, session: u64, number: u64) -> bool {
        let inner = self.lock();
        inner.sessions[&session].taken[number as usize].behaviour == Behaviour::Mute
    }

    fn stream(
        self,
        first: Option<Frame>,
        (session, number): (u64, u64),
        from: usize,
        cut: Option<usize>,
    ) -> Response {
        let first: VecDeque<_> = first.into_iter().map(Ok).collect();
        let start = (self, first, from, false);
        let events = stream::unfold(
            start,
            move |(node, mut waiting, mut from, is_over)| async move {
                while waiting.is_empty() && !is_over {
                    waiting.extend(node.frames(session, number, from, cut));
                    if waiting.is_empty() {
                        sleep(TICK).await;
                    }
                    if waiting.is_empty() && node.is_mute(session, number) {
                        let comment = Ok(":\n\n".to_owned());
                        return Some((comment, (node, waiting, from, is_over)));
                    }
                }
                let frame = waiting.pop_front()?;
                if frame.is_err() {
                    // What was sent before arrives.
                    sleep(TICK * 20).await;
                }
                if let Ok(Frame::Text { offset, delta }) = &frame {
                    from = *offset as usize + delta.len();
                }
                let is_over =
                    is_over || frame.is_err() || matches!(frame, Ok(Frame::Receipt { .. }));
                let part = frame
                    .map(|frame| format!("data: {}\n\n", serde_json::to_string(&frame).unwrap()))
                    .map_err(|()| std::io::Error::other("played cut"));
                Some((part, (node, waiting, from, is_over)))
            },
        );
        let headers = [("content-type", "text/event-stream")];
        (headers, Body::from_stream(events)).into_response()
    }
}
