//! A chain that opens, closes and settles sessions at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use poq_client::receipt::SignedState;
use poq_client::{Error, Result};
use poq_judge::Panel;
use poq_proto::code::INSUFFICIENT_FUNDS;
use poq_proto::v1::{
    Model, MsgOpenSessions, Node, Params, Session, SessionNode, SessionParams, SessionPayment,
    SessionRefundReason, SessionRules, SessionSettlement, SessionStatus,
};

use crate::chain::{Chain, Transfer};

/// Id of the played chain.
pub(crate) const ID: &str = "poq-played-1";
/// Id of its model.
pub(crate) const MODEL: &str = "played-model";

#[derive(Default)]
struct State {
    height: u64,
    sessions: BTreeMap<u64, Session>,
    nodes: Vec<Node>,
    drawn: usize,
    is_away: bool,
    is_halted: bool,
    is_poor: bool,
    transfers: BTreeMap<u64, Vec<Transfer>>,
    lowest: u64,
}

/// The chain. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct PlayedChain(Arc<Mutex<State>>);

impl PlayedChain {
    /// Adds a node that offers sessions.
    pub(crate) fn register(&self, node: Node) {
        self.lock().nodes.push(node);
    }

    /// A session's record.
    pub(crate) fn record(&self, id: u64) -> Option<Session> {
        self.lock().sessions.get(&id).cloned()
    }

    /// All records.
    pub(crate) fn records(&self) -> Vec<Session> {
        self.lock().sessions.values().cloned().collect()
    }

    /// Whether queries fail.
    pub(crate) fn go_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
    }

    /// Whether no blocks are made.
    pub(crate) fn halt(&self, is_halted: bool) {
        self.lock().is_halted = is_halted;
    }

    /// Whether the account cannot pay for sessions.
    pub(crate) fn impoverish(&self, is_poor: bool) {
        self.lock().is_poor = is_poor;
    }

    /// Adds a transfer to the account in the next block; returns its height.
    pub(crate) fn transfer(&self, amount: u64, memo: &str) -> u64 {
        let mut state = self.lock();
        let height = state.height + 1;
        let block = state.transfers.entry(height).or_default();
        block.push(Transfer {
            tx: block.len() as u32,
            message: 0,
            sender: "poq1customer".into(),
            amount,
            memo: memo.into(),
        });
        height
    }

    /// Forgets all blocks below a height.
    pub(crate) fn prune(&self, lowest: u64) {
        self.lock().lowest = lowest;
    }

    /// Loses the newest blocks, as a node that is behind.
    pub(crate) fn fall_back(&self, height: u64) {
        self.lock().height = height;
    }

    /// Ends a session without a settlement.
    pub(crate) fn refund(&self, id: u64) {
        let mut state = self.lock();
        let session = state.sessions.get_mut(&id).unwrap();
        session.status = SessionStatus::Refunded.into();
    }

    /// Settles and pays a session: `refund` base units return to the user.
    pub(crate) fn settle(&self, id: u64, settlement: SessionSettlement, refund: u64) {
        let mut state = self.lock();
        let session = state.sessions.get_mut(&id).unwrap();
        session.status = SessionStatus::Final.into();
        session.settlement = Some(settlement);
        session.payment = Some(SessionPayment {
            refund,
            ..SessionPayment::default()
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn there(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        match state.is_away {
            true => Err(Error::Unreachable {
                url: "http://played".into(),
                reason: "it is away".into(),
            }),
            false => Ok(state),
        }
    }
}

fn model() -> Model {
    Model {
        id: MODEL.into(),
        context_tokens: 2048,
        base_price: 1_000,
        price_per_prompt_byte: 10,
        price_per_answer_byte: 100,
        quality_floor: 100_000,
        quality_target: 800_000,
        ..Model::default()
    }
}

#[async_trait]
impl Chain for PlayedChain {
    fn id(&self) -> Arc<str> {
        ID.into()
    }

    async fn address(&self) -> Result<Arc<str>> {
        Ok("poq1gateway".into())
    }

    async fn height(&self) -> Result<u64> {
        let mut state = self.there()?;
        state.height += u64::from(!state.is_halted);
        Ok(state.height)
    }

    async fn params(&self) -> Result<Params> {
        Ok(Params {
            denom: "upoq".into(),
            max_prompt_bytes: 4_000,
            max_answer_bytes: 4_000,
            sessions: Some(SessionParams {
                max_session_nodes: 4,
                max_open_sessions: 64,
                max_session_blocks: 3_600,
                sample_value: 4_000_000,
                max_order_price: 500_000,
                max_samples: 64,
                ..SessionParams::default()
            }),
            ..Params::default()
        })
    }

    async fn models(&self) -> Result<Vec<Model>> {
        Ok(vec![model()])
    }

    async fn panel(&self, _: &str) -> Result<Panel> {
        self.there().map(|_| Panel::default())
    }

    async fn session(&self, id: u64) -> Result<Option<Session>> {
        Ok(self.there()?.sessions.get(&id).cloned())
    }

    /// It has no headers that could prove anything.
    async fn signed_session(&self, _id: u64) -> Result<Option<SignedState>> {
        Err(Error::Unreachable {
            url: "http://played".into(),
            reason: "it has no headers".into(),
        })
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        Ok(self.there()?.sessions.values().cloned().collect())
    }

    async fn node(&self, operator: &str) -> Result<Option<Node>> {
        let state = self.there()?;
        Ok(state
            .nodes
            .iter()
            .find(|node| node.operator == operator)
            .cloned())
    }

    async fn transfers(&self, height: u64, denom: &str) -> Result<Vec<Transfer>> {
        assert_eq!(denom, "upoq");
        let state = self.there()?;
        if height < state.lowest || height > state.height {
            return Err(Error::Rpc {
                url: "http://played".into(),
                method: "block",
                reason: format!("height {height} is not available"),
            });
        }
        Ok(state.transfers.get(&height).cloned().unwrap_or_default())
    }

    async fn open(&self, message: MsgOpenSessions) -> Result<u64> {
        let mut state = self.there()?;
        if state.is_poor {
            return Err(Error::Tx {
                hash: poq_client::TxHash([0; 32]),
                code: INSUFFICIENT_FUNDS.number,
                codespace: INSUFFICIENT_FUNDS.codespace.into(),
                log: "it is played".into(),
            });
        }
        let first = state.sessions.len() as u64 + 1;
        for number in 0..message.nodes as usize {
            let id = first + number as u64;
            let drawn = (number < state.nodes.len())
                .then(|| state.nodes[(state.drawn + number) % state.nodes.len()].clone());
            let status = match drawn {
                Some(_) => SessionStatus::Open,
                None => SessionStatus::Refunded,
            };
            let session = Session {
                id,
                user: "poq1gateway".into(),
                model: message.model.clone(),
                escrow: message.escrow,
                session_key: message.session_key.clone(),
                scoring: message.scoring,
                blocks: message.blocks,
                set: first,
                set_size: message.nodes,
                status: status.into(),
                opened_height: state.height,
                terms: Some(model().terms()),
                rules: Some(SessionRules {
                    max_prompt_bytes: 4_000,
                    max_answer_bytes: 4_000,
                    max_order_price: 500_000,
                    ..SessionRules::default()
                }),
                node: drawn.map(|node| SessionNode {
                    operator: node.operator,
                    key: node.stream.unwrap().key,
                    height: state.height,
                    beacon: vec![0; 32],
                }),
                refund_reason: SessionRefundReason::Unspecified.into(),
                ..Session::default()
            };
            state.sessions.insert(id, session);
        }
        state.drawn += 1;
        Ok(first)
    }

    async fn close(&self, sessions: Vec<u64>) -> Result<()> {
        let mut state = self.there()?;
        for id in sessions {
            let session = state.sessions.get_mut(&id).unwrap();
            if session.status() == SessionStatus::Open {
                session.status = SessionStatus::Closing.into();
            }
        }
        Ok(())
    }
}
