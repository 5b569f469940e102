//! A node that serves sessions, and fails as a test tells it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use futures::stream;
use poq_client::session::{
    Acknowledgement, Frame, Order, Refusal, RefusalCode, SIGNATURE_HEADER, SessionState,
    WHOLE_SESSION,
};
use poq_client::{Key, is_signature};
use poq_proto::v1::{self, Finish, Role, SessionSettlement, SessionStatus};
use poq_proto::{Call, Leaf, Voucher};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::chain::{ID, PlayedChain};
use super::serve;

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

struct Taken {
    chat: v1::Chat,
    behaviour: Behaviour,
    text: String,
    finish: Option<Finish>,
}

#[derive(Default)]
struct Held {
    taken: Vec<Taken>,
    log: Vec<Leaf>,
    acknowledged: u64,
    amount: u64,
    unacknowledged: u64,
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
        let router = Router::new()
            .route("/poq/v1/orders", post(order))
            .route("/poq/v1/orders/{session}/{number}", get(read))
            .route("/poq/v1/orders/{session}/{number}/stop", post(stop))
            .route("/poq/v1/sessions/{session}", get(state))
            .route("/poq/v1/acks", post(acknowledge))
            .with_state(node.clone());
        let address = serve::serve(router).await;
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

    /// The rules of a node: sections 1.6 and 4.1 of the design.
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
        while !self.write_leaf(session, number, behaviour) {
            sleep(TICK).await;
        }
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

    fn write_leaf(&self, session: u64, number: u64, behaviour: Behaviour) -> bool {
        let record = self.chain.record(session).unwrap();
        let mut inner = self.lock();
        let held = inner.sessions.get_mut(&session).unwrap();
        let is_turn = held.log.len() as u64 == number;
        if is_turn {
            held.finish(&record, number as usize, behaviour);
        }
        is_turn
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
        } else if let Some(leaf) = held.log.get(number as usize) {
            let key = match taken.behaviour {
                Behaviour::WrongKey => Key::from_bytes(&[9; 32]).unwrap(),
                _ => self.key.clone(),
            };
            let signature = key.sign_digest(&leaf.receipt_digest(ID, session)).unwrap();
            frames.push(Ok(Frame::Receipt {
                leaf: leaf.into(),
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

impl Held {
    /// Takes a voucher's acknowledgement and its sums.
    fn take(
        &mut self,
        record: &v1::Session,
        voucher: &Voucher,
        (chat, window): (Option<&v1::Chat>, u32),
    ) -> Result<(), Refused> {
        let log = self.log.get(..voucher.count as usize);
        let log = log.filter(|_| voucher.count >= self.acknowledged);
        let log = log.ok_or_else(|| refusal(RefusalCode::WrongLog, None))?;
        let amount = log.last().map_or(0, |leaf| leaf.total);
        if voucher.root != root(log) || voucher.amount != amount {
            return Err(refusal(RefusalCode::WrongLog, None));
        }
        let terms = record.terms.unwrap();
        let ceiling =
            |chat: &v1::Chat| terms.price(chat.prompt_bytes(), chat.max_answer_bytes.into());
        let open = self.taken[voucher.count as usize..]
            .iter()
            .map(|taken| ceiling(&taken.chat));
        let sum = amount + open.sum::<u64>() + chat.map_or(0, ceiling);
        if voucher.authorized != sum || sum > record.escrow {
            return Err(refusal(RefusalCode::Escrow, None));
        }
        let beyond = self.taken.len() as u64 - voucher.count;
        if chat.is_some() && beyond >= window.into() {
            return Err(refusal(RefusalCode::Busy, None));
        }
        (self.acknowledged, self.amount) = (voucher.count, amount);
        self.unacknowledged = self.unacknowledged.max(sum - amount);
        Ok(())
    }

    fn finish(&mut self, record: &v1::Session, number: usize, behaviour: Behaviour) {
        let taken = &self.taken[number];
        let total = self.log.last().map_or(0, |leaf| leaf.total);
        let (prompt, answer) = (taken.chat.prompt_bytes(), taken.text.len());
        let is_void = behaviour == Behaviour::Void;
        let price = match is_void {
            true => 0,
            false => record.terms.unwrap().price(prompt, answer as u64),
        };
        let price = price + u64::from(behaviour == Behaviour::WrongPrice);
        let text = match behaviour {
            Behaviour::WrongText => "another text",
            _ => &taken.text,
        };
        self.log.push(Leaf {
            number: number as u64,
            request: taken.chat.digest(),
            answer: Sha256::digest(text).into(),
            prompt_bytes: prompt as u32,
            answer_bytes: answer as u32,
            prompt_tokens: 11,
            answer_tokens: 7,
            min_quality: taken.chat.min_quality,
            finish: taken.finish.unwrap(),
            price,
            total: total + price,
        });
    }
}

fn root(log: &[Leaf]) -> [u8; 32] {
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for leaf in log {
        tree.push(leaf.encode().to_vec());
    }
    tree.root().as_bytes()[..].try_into().unwrap()
}

/// A response that breaks its connection.
fn broken() -> Response {
    let cut = stream::iter([Err::<&str, _>(std::io::Error::other("played cut"))]);
    Body::from_stream(cut).into_response()
}

async fn order(State(node): State<PlayedNode>, Json(order): Json<Order>) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let (voucher, behaviour) = match node.admit(&order) {
        Ok(admitted) => admitted,
        Err(refused) => return refused.into_response(),
    };
    if matches!(
        behaviour,
        Behaviour::SwallowAccept | Behaviour::SwallowOrder
    ) {
        return broken();
    }
    let signature = node.key.sign_digest(&voucher.accept_digest(ID)).unwrap();
    let accept = Frame::Accept {
        signature: hex::encode(signature),
        window: node.lock().window(),
        queue_position: 0,
    };
    let cut = match behaviour {
        Behaviour::Cut(bytes) | Behaviour::Die(bytes) | Behaviour::Silent(bytes) => Some(bytes),
        _ => None,
    };
    node.stream(Some(accept), (voucher.session, voucher.number), 0, cut)
}

fn signature(headers: &HeaderMap) -> &str {
    headers[SIGNATURE_HEADER].to_str().unwrap()
}

async fn read(
    State(node): State<PlayedNode>,
    Path((session, number)): Path<(u64, u64)>,
    Query(query): Query<HashMap<String, u64>>,
    headers: HeaderMap,
) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let offset = query["offset"];
    let digest = Call::Read.digest(ID, session, number, offset);
    if let Err(refused) = node.check(session, &digest, signature(&headers)) {
        return refused.into_response();
    }
    node.stream(None, (session, number), offset as usize, None)
}

async fn stop(
    State(node): State<PlayedNode>,
    Path((session, number)): Path<(u64, u64)>,
    headers: HeaderMap,
) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let digest = Call::Stop.digest(ID, session, number, 0);
    if let Err(refused) = node.check(session, &digest, signature(&headers)) {
        return refused.into_response();
    }
    let mut inner = node.lock();
    let taken = &mut inner.sessions.get_mut(&session).unwrap().taken[number as usize];
    taken.finish.get_or_insert(Finish::User);
    Json(json!({})).into_response()
}

async fn state(
    State(node): State<PlayedNode>,
    Path(session): Path<u64>,
    headers: HeaderMap,
) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let digest = Call::Read.digest(ID, session, WHOLE_SESSION, 0);
    if let Err(refused) = node.check(session, &digest, signature(&headers)) {
        return refused.into_response();
    }
    let mut inner = node.lock();
    let window = inner.window();
    let held = inner.sessions.entry(session).or_default();
    Json(SessionState {
        next: held.taken.len() as u64,
        count: held.log.len() as u64,
        acknowledged: held.acknowledged,
        open: (held.log.len() as u64..held.taken.len() as u64).collect(),
        window,
    })
    .into_response()
}

async fn acknowledge(
    State(node): State<PlayedNode>,
    Json(body): Json<Acknowledgement>,
) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let voucher = Voucher::try_from(&body.voucher).unwrap();
    assert!(voucher.is_bare());
    let record = match node.check(voucher.session, &voucher.digest(ID), &body.signature) {
        Ok(record) => record,
        Err(refused) => return refused.into_response(),
    };
    let mut inner = node.lock();
    let held = inner.sessions.entry(voucher.session).or_default();
    match held.take(&record, &voucher, (None, WINDOW)) {
        Ok(()) => Json(json!({})).into_response(),
        Err(refused) => refused.into_response(),
    }
}
