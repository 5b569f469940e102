//! The evaluators of drawn leaves, who act on the chain's events.

use std::collections::{BTreeMap, BTreeSet};

use poq_app::modules::params::quorum;
use poq_client::{Any, tx::any};
use poq_proto::v1::{CommitItem, MsgCommitScores, MsgRevealScores, RevealItem};
use poq_proto::{commitment, event};
use tendermint_proto::v0_38::abci::Event;

use super::FIRST_EVALUATOR;
use super::strategy::Ring;
use crate::chain::{CHAIN_ID, Chain, Notice};
use crate::error::Result;
use crate::random;
use crate::strategy::{Evaluator, Ring as Boasts, Seat};
use crate::world::{Scale, prior_mean};

/// A leaf whose quality is not known yet.
struct Open {
    attempt: u32,
    /// Raw score of the answer, micro-logits.
    raw: i32,
    junk: bool,
    seats: Vec<usize>,
    /// The score that each member committed to.
    committed: BTreeMap<usize, i32>,
}

/// The committees of a run.
pub(super) struct Committees {
    ring: Ring,
    ring_size: usize,
    seed: u64,
    scale: Scale,
    open: BTreeMap<u64, Open>,
    /// Tasks that got a committee in this block.
    seated: BTreeSet<u64>,
    /// Tasks whose committee must reveal.
    revealing: BTreeSet<u64>,
    /// Scores that the ring computed.
    pub ring_scores: u64,
    /// Number of tasks.
    pub tasks: u64,
    /// Number of audited tasks.
    pub audits: u64,
}

impl Committees {
    pub(super) fn new((ring, ring_size): (Ring, usize), seed: u64) -> Self {
        Self {
            ring,
            ring_size,
            seed,
            scale: Scale::default(),
            open: BTreeMap::new(),
            seated: BTreeSet::new(),
            revealing: BTreeSet::new(),
            ring_scores: 0,
            tasks: 0,
            audits: 0,
        }
    }

    /// A leaf became a task.
    pub(super) fn opened(&mut self, task: u64, raw: i32, junk: bool) {
        self.tasks += 1;
        let open = Open {
            attempt: 0,
            raw,
            junk,
            seats: Vec::new(),
            committed: BTreeMap::new(),
        };
        self.open.insert(task, open);
    }

    pub(super) fn read(&mut self, event: &Event, chain: &Chain) -> Result<()> {
        let notice = Notice(event);
        match event.r#type.as_str() {
            event::TASK_SEATED => {
                let (id, attempt) = (notice.number(event::TASK)?, notice.number(event::ATTEMPT)?);
                let member = chain.member(notice.text(event::NODE)?)?;
                if let Some(open) = self.open.get_mut(&id) {
                    if self.seated.insert(id) {
                        (open.attempt, open.seats) = (attempt as u32, Vec::new());
                        open.committed.clear();
                    }
                    open.seats.push(member);
                }
            }
            event::TASK_REVEALING => {
                self.revealing.insert(notice.number(event::TASK)?);
            }
            event::TASK_AUDITED => self.audits += 1,
            event::TASK_FINAL | event::TASK_REFUNDED => {
                self.open.remove(&notice.number(event::TASK)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The messages for the next block, by member.
    pub(super) fn messages(&mut self, chain: &Chain) -> Vec<(usize, Vec<Any>)> {
        let mut sent: BTreeMap<usize, Vec<Any>> = BTreeMap::new();
        for (member, items) in self.commits(chain) {
            let operator = chain.address(member).to_owned();
            let message = any(&MsgCommitScores { operator, items });
            sent.entry(member).or_default().push(message);
        }
        for (member, items) in self.reveals() {
            let operator = chain.address(member).to_owned();
            let message = any(&MsgRevealScores { operator, items });
            sent.entry(member).or_default().push(message);
        }
        sent.into_iter().collect()
    }

    fn commits(&mut self, chain: &Chain) -> BTreeMap<usize, Vec<CommitItem>> {
        let mut commits: BTreeMap<usize, Vec<CommitItem>> = BTreeMap::new();
        for id in std::mem::take(&mut self.seated) {
            for (member, raw) in self.scores(id) {
                let salt = salt(self.seed, id, member);
                let address = chain.address_bytes(member);
                let attempt = self.open.get(&id).map_or(0, |open| open.attempt);
                let commitment = commitment(CHAIN_ID, id, attempt, &address, raw, &salt);
                commits.entry(member).or_default().push(CommitItem {
                    task_id: id,
                    commitment: commitment.to_vec(),
                });
                if let Some(open) = self.open.get_mut(&id) {
                    open.committed.insert(member, raw);
                }
            }
        }
        commits
    }

    /// The scores of a committee's members; those that stay silent have none.
    fn scores(&mut self, id: u64) -> Vec<(usize, i32)> {
        let Some(open) = self.open.get(&id) else {
            return Vec::new();
        };
        let in_ring = |member: usize| member < FIRST_EVALUATOR + self.ring_size;
        let ring: Vec<usize> = open.seats.iter().copied().filter(|m| in_ring(*m)).collect();
        let denies = open.seats.len() < quorum(open.seats.len()) + ring.len();
        let mut scores = Vec::new();
        for &member in &open.seats {
            let strategy = match (in_ring(member), self.ring) {
                (true, Ring::Silent) if open.junk && denies => continue,
                (true, Ring::Praise) => Evaluator::Ring(Boasts::Praise),
                (true, Ring::PraiseWithMajority) => Evaluator::Ring(Boasts::PraiseWithMajority),
                _ => Evaluator::Honest,
            };
            let seat = Seat {
                truth: open.raw,
                last_quality: None,
                prior_mean: prior_mean(),
                seats: open.seats.len(),
                ring_seats: ring.len(),
                leads_ring: ring.first() == Some(&member),
                answered_by_accomplice: open.junk,
                scale: &self.scale,
            };
            let mut rng = random::generator(self.seed, "seat", id, member as u64);
            let plan = strategy.plan(&seat, &mut rng);
            self.ring_scores += u64::from(plan.evaluated && in_ring(member));
            scores.push((member, plan.raw));
        }
        scores
    }

    fn reveals(&mut self) -> BTreeMap<usize, Vec<RevealItem>> {
        let mut reveals: BTreeMap<usize, Vec<RevealItem>> = BTreeMap::new();
        for id in std::mem::take(&mut self.revealing) {
            let committed = self.open.get(&id).map(|open| open.committed.clone());
            for (member, raw) in committed.unwrap_or_default() {
                reveals.entry(member).or_default().push(RevealItem {
                    task_id: id,
                    raw_score: raw,
                    salt: salt(self.seed, id, member).to_vec(),
                });
            }
        }
        reveals
    }
}

fn salt(seed: u64, task: u64, member: usize) -> [u8; 32] {
    random::bytes(seed, "salt", task, member as u64)
}
