//! Plays sessions block by block.

use poq_client::{Any, tx::any};
use poq_proto::event;
use poq_proto::v1::{
    MsgCloseSessions, MsgOpenSessions, MsgRevealLeaves, MsgSettleSessions, SessionParams,
    SessionStatus,
};

use super::bill::{Bill, Ledger};
use super::committees::Committees;
use super::log::Log;
use super::strategy::{Answering, Settling};
use super::{FIRST_EVALUATOR, NODE, Outcome, Play, USER};
use crate::chain::{Chain, Notice};
use crate::error::{Error, Result};
use crate::world::{MODEL, Scale};

/// Blocks after which an open session means that the chain is stuck.
const PATIENCE: u64 = 200;
/// Blocks for which sessions take orders; they are settled at once.
const OPEN_BLOCKS: u64 = 100;
/// Distance between the first questions of two sessions, so that no two sessions share one.
const QUESTIONS: u64 = 10_000;

pub(super) struct Driver<'a> {
    play: &'a Play,
    chain: Chain,
    seed: u64,
    scale: Scale,
    logs: Vec<Log>,
    committees: Committees,
    ledger: Ledger,
    before: Vec<u128>,
    reputation: u32,
}

impl<'a> Driver<'a> {
    pub(super) fn new(play: &'a Play, chain: Chain, seed: u64) -> Result<Self> {
        Ok(Self {
            play,
            seed,
            scale: Scale::default(),
            logs: Vec::new(),
            committees: Committees::new(play.ring, seed),
            ledger: Ledger::default(),
            before: chain.wealth()?,
            reputation: chain.inference_node(NODE)?.reputation,
            chain,
        })
    }

    pub(super) fn run(mut self) -> Result<Outcome> {
        let messages = vec![self.opening(); self.play.sessions as usize];
        self.open(vec![(USER, messages)])?;
        self.serve(|session| session * QUESTIONS);
        self.settle()?;
        self.reveal()?;
        self.score()?;
        self.finish()
    }

    /// The user opens and closes each session by transactions of its own.
    pub(super) fn bill(mut self) -> Result<Bill> {
        let answers = u64::from(self.play.answers);
        let opening = (USER, vec![self.opening()]);
        self.open(vec![opening; self.play.sessions as usize])?;
        self.serve(|session| (session - 1) * answers);
        self.close()?;
        self.settle()?;
        self.reveal()?;
        self.score()?;
        let mut protocol = 0;
        for id in self.ids() {
            let payment = self.chain.session(id)?.payment;
            protocol += payment.unwrap_or_default().protocol;
        }
        let answers = answers * u64::from(self.play.sessions);
        let counts = (answers, self.committees.tasks);
        Bill::of(&self.chain, self.ledger, &self.before, counts, protocol)
    }

    fn limits(&self) -> SessionParams {
        self.play.params.sessions.unwrap_or_default()
    }

    fn ids(&self) -> impl Iterator<Item = u64> + use<> {
        1..=u64::from(self.play.sessions)
    }

    /// A session's opening.
    fn opening(&self) -> Any {
        let limits = self.limits();
        any(&MsgOpenSessions {
            user: self.chain.address(USER).to_owned(),
            model: MODEL.into(),
            nodes: 1,
            escrow: limits.sample_value * u64::from(limits.max_samples),
            session_key: self.chain.key(USER).public_key(),
            blocks: OPEN_BLOCKS,
            scoring: self.play.scoring.into(),
        })
    }

    /// All sessions are opened, and their node is drawn.
    fn open(&mut self, sent: Vec<(usize, Vec<Any>)>) -> Result<()> {
        self.block(sent)?;
        self.block(Vec::new())
    }

    fn close(&mut self) -> Result<()> {
        let closing = |session| {
            any(&MsgCloseSessions {
                user: self.chain.address(USER).to_owned(),
                sessions: vec![session],
            })
        };
        let sent = self.ids().map(|id| (USER, vec![closing(id)])).collect();
        self.block(sent)
    }

    /// Off the chain: the user orders, the node answers and both sign. `first` is the number of a
    /// session's first question in the run.
    fn serve(&mut self, first: impl Fn(u64) -> u64) {
        let terms = self.play.world.model().terms();
        for session in self.ids() {
            let answering = Answering {
                class: &self.play.class,
                world: &self.play.world,
                quality: &|raw| self.scale.quality(raw),
                max_price: self.limits().max_order_price,
                ordered: match self.play.settling {
                    Settling::Unserved(last) | Settling::ClaimingUnserved(last) => {
                        self.play.answers.saturating_sub(last)
                    }
                    _ => self.play.answers,
                },
                seed: self.seed,
                session,
                first: first(session),
            };
            let answers = answering.answers(self.play.node, self.play.user);
            self.logs.push(Log::new(session, terms, &answers));
        }
    }

    /// Number of a log's answers that the settlement's voucher acknowledges.
    fn acknowledged(&self, log: &Log) -> usize {
        match self.play.settling {
            Settling::Older(percent) => log.len() * (100 - percent as usize) / 100,
            Settling::ClaimingServed(last) => log.len().saturating_sub(last as usize),
            _ => log.len(),
        }
    }

    fn settle(&mut self) -> Result<()> {
        let key = self.chain.key(USER);
        let claimed = match self.play.settling {
            Settling::ClaimingServed(last) | Settling::ClaimingUnserved(last) => u64::from(last),
            _ => 0,
        };
        let items = self.logs.iter().map(|log| {
            let claim = claimed * log.ceiling();
            log.settle_item(self.acknowledged(log), claim, key)
        });
        let message = any(&MsgSettleSessions {
            operator: self.chain.address(NODE).to_owned(),
            items: items.collect::<Result<_>>()?,
        });
        self.block(vec![(NODE, vec![message])])?;
        self.block(Vec::new())
    }

    /// The node reveals drawn leaves, a message for each session.
    fn reveal(&mut self) -> Result<()> {
        let mut messages = Vec::new();
        for (session, log) in self.ids().zip(&self.logs) {
            let session = self.chain.session(session)?;
            let drawn = log.drawn(&session);
            let shown = drawn.iter().filter(|(_, answer)| {
                let full = 2 * self.play.world.price();
                let worth = self.play.world.worth(self.scale.quality(answer.drawn.raw));
                self.play.settling != Settling::Withholding || 2 * worth >= full
            });
            let numbers: Vec<u64> = shown.map(|(leaf, _)| leaf.number).collect();
            let items = log.leaf_items(self.acknowledged(log), &numbers);
            if !items.is_empty() {
                let operator = self.chain.address(NODE).to_owned();
                messages.push(any(&MsgRevealLeaves { operator, items }));
            }
        }
        match messages.is_empty() {
            true => Ok(()),
            false => self.block(vec![(NODE, messages)]),
        }
    }

    /// Evaluators do their duties until every session is over.
    fn score(&mut self) -> Result<()> {
        for _ in 0..PATIENCE {
            let sent = self.committees.messages(&self.chain);
            self.block(sent)?;
            if self.open_sessions()? == 0 {
                return Ok(());
            }
        }
        Err(Error::Stuck {
            open: self.open_sessions()?,
            blocks: PATIENCE,
        })
    }

    fn open_sessions(&self) -> Result<usize> {
        let mut open = 0;
        for id in self.ids() {
            open += usize::from(self.chain.session(id)?.status() != SessionStatus::Final);
        }
        Ok(open)
    }

    fn block(&mut self, sent: Vec<(usize, Vec<Any>)>) -> Result<()> {
        for event in self.chain.block(sent)? {
            if event.r#type == event::LEAF_REVEALED {
                let notice = Notice(&event);
                let session = notice.number(event::SESSION)? as usize;
                let number = notice.number(event::NUMBER)?;
                let task = notice.number(event::TASK)?;
                let log = self.logs.get(session.wrapping_sub(1));
                if let Some(answer) = log.and_then(|log| log.answer(number)) {
                    self.committees.opened(task, answer.drawn.raw, answer.junk);
                }
            }
            self.committees.read(&event, &self.chain)?;
            self.ledger.read(&event, &self.chain)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Outcome> {
        let after = self.chain.wealth()?;
        let change = |member: usize| after[member] as f64 - self.before[member] as f64;
        let answers = || {
            let numbered = self.logs.iter();
            numbered
                .flat_map(|log| (0..log.len() as u64).filter_map(move |number| log.answer(number)))
        };
        let cost: u64 = answers().map(|answer| answer.drawn.cost).sum();
        let worth: u64 = answers().map(|answer| answer.worth).sum();
        let ring = FIRST_EVALUATOR..FIRST_EVALUATOR + self.play.ring.1;
        let scores = self.committees.ring_scores * self.play.world.evaluation_cost;
        let (user, node) = (change(USER) + worth as f64, change(NODE) - cost as f64);
        let evaluators = ring.map(change).sum::<f64>() - scores as f64;
        let studied = self.play.studied;
        let parts = [
            (studied.user, user),
            (studied.node, node),
            (studied.ring, evaluators),
        ];
        let sum: f64 = parts
            .into_iter()
            .filter_map(|(counts, profit)| counts.then_some(profit))
            .sum();
        let ordered = f64::from(self.play.sessions) * f64::from(self.play.answers);
        let reputation = self.chain.inference_node(NODE)?.reputation;
        Ok(Outcome {
            studied: sum / ordered,
            node: node / ordered,
            paid: -change(USER) / ordered,
            scored: self.committees.tasks as f64 / ordered,
            audited: self.committees.audits as f64 / self.committees.tasks.max(1) as f64,
            spread: deviation(&self.earned_parts()?),
            reputation: (f64::from(reputation) - f64::from(self.reputation)) / 1e6,
        })
    }

    /// The part of its share that the node earned in each session, 0 to 1.
    fn earned_parts(&self) -> Result<Vec<f64>> {
        self.ids()
            .map(|id| {
                let payment = self.chain.session(id)?.payment.unwrap_or_default();
                Ok(f64::from(payment.earned_part) / 1e6)
            })
            .collect()
    }
}

/// The standard deviation of samples; 0 for fewer than two.
fn deviation(samples: &[f64]) -> f64 {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count.max(1.0);
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    (squares / (count - 1.0).max(1.0)).sqrt()
}
