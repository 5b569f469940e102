//! Reads the chain's events block by block and lets the participants act on them.

use std::collections::{BTreeMap, BTreeSet};

use poq_client::{Any, tx::any};
use poq_proto::v1::{
    AnswerItem, CommitItem, MsgCancelTask, MsgCommitScores, MsgRevealScores, MsgSubmitAnswers,
    RevealItem,
};
use poq_proto::{commitment, event};
use tendermint_proto::v0_38::abci::Event;

use super::asking::{Asking, Question};
use super::record::{Actor, Episode, Outcome};
use super::{Cast, Setting};
use crate::chain::{CHAIN_ID, Chain, Notice};
use crate::error::{Error, Result};
use crate::random;
use crate::strategy::{Plan, Seat};
use crate::world::Scale;

/// Blocks after which an open task means that the chain is stuck.
const PATIENCE: u64 = 2_000;
/// Blocks without room after which questions are given up.
const WAIT: u64 = 50;

/// A task that is not over.
#[derive(Default)]
struct Open {
    attempt: u32,
    /// Raw score of the answer, in micro-logits.
    raw: i32,
    accomplice: bool,
    /// Members with a seat in the current committee.
    seats: Vec<usize>,
    plans: BTreeMap<usize, Plan>,
}

/// The messages for the next block, by member.
#[derive(Default)]
struct Outbox {
    answers: BTreeMap<usize, Vec<AnswerItem>>,
    commits: BTreeMap<usize, Vec<CommitItem>>,
    reveals: BTreeMap<usize, Vec<RevealItem>>,
    cancelled: BTreeMap<usize, Vec<u64>>,
}

pub(super) struct Driver<'a> {
    setting: &'a Setting,
    cast: &'a Cast,
    chain: Chain,
    asking: Asking<'a>,
    seed: u64,
    scale: Scale,
    prior_mean: u32,
    before: Vec<u128>,
    actors: Vec<Actor>,
    tasks: Vec<Outcome>,
    open: BTreeMap<u64, Open>,
    last_quality: Option<u32>,
    outbox: Outbox,
    /// Tasks whose late evaluators look at the others' reveals after the next block.
    watched: BTreeSet<u64>,
    /// Tasks that got a committee in this block.
    seated: BTreeSet<u64>,
    audits: u32,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        setting: &'a Setting,
        cast: &'a Cast,
        chain: Chain,
        seed: u64,
    ) -> Result<Self> {
        Ok(Self {
            setting,
            cast,
            before: chain.wealth()?,
            chain,
            asking: Asking::new(setting, cast, seed),
            seed,
            scale: setting.questions.scale(),
            prior_mean: setting.questions.prior_mean(),
            actors: cast.actors(),
            tasks: Vec::new(),
            open: BTreeMap::new(),
            last_quality: None,
            outbox: Outbox::default(),
            watched: BTreeSet::new(),
            seated: BTreeSet::new(),
            audits: 0,
        })
    }

    pub(super) fn run(mut self) -> Result<Episode> {
        let mut asked_at = 0;
        loop {
            if self.open.is_empty() {
                if self.asking.is_over() {
                    return self.finish();
                }
                asked_at = self.chain.height();
                if !self.ask()? {
                    // No node accepts questions any more: the remaining ones stay unanswered.
                    let all = self.tasks.len() + self.asking.unasked();
                    self.tasks.resize(all, Outcome::default());
                    return self.finish();
                }
            } else {
                let sent = self.take_outbox();
                self.block(sent)?;
            }
            let blocks = self.chain.height() - asked_at;
            if blocks > PATIENCE {
                return Err(Error::Stuck {
                    open: self.open.len(),
                    blocks,
                });
            }
        }
    }

    /// Asks the next questions once there is room; returns whether there ever was.
    fn ask(&mut self) -> Result<bool> {
        self.asking.begin_round();
        for _ in 0..WAIT {
            let questions = self
                .asking
                .messages(|user| self.chain.address(user).to_owned());
            match self.block(questions) {
                Err(Error::NoRoom) => {}
                outcome => return outcome.map(|()| true),
            }
        }
        Ok(false)
    }

    fn take_outbox(&mut self) -> Vec<(usize, Vec<Any>)> {
        let outbox = std::mem::take(&mut self.outbox);
        let mut sent: BTreeMap<usize, Vec<Any>> = BTreeMap::new();
        let address = |member: &usize| self.chain.address(*member).to_owned();
        for (member, items) in outbox.answers {
            let operator = address(&member);
            let message = any(&MsgSubmitAnswers { operator, items });
            sent.entry(member).or_default().push(message);
        }
        for (member, items) in outbox.commits {
            let operator = address(&member);
            let message = any(&MsgCommitScores { operator, items });
            sent.entry(member).or_default().push(message);
        }
        for (member, items) in outbox.reveals {
            let operator = address(&member);
            let message = any(&MsgRevealScores { operator, items });
            sent.entry(member).or_default().push(message);
        }
        for (member, tasks) in outbox.cancelled {
            let cancel = |task_id| {
                let user = address(&member);
                any(&MsgCancelTask { user, task_id })
            };
            let messages = tasks.into_iter().map(cancel);
            sent.entry(member).or_default().extend(messages);
        }
        sent.into_iter().collect()
    }

    fn block(&mut self, sent: Vec<(usize, Vec<Any>)>) -> Result<()> {
        // Waiting evaluators decide on the reveals of earlier blocks.
        let watched = std::mem::take(&mut self.watched);
        let events = self.chain.block(sent)?;
        for event in &events {
            self.read(event)?;
        }
        for id in watched {
            self.reveal(id, true)?;
        }
        for id in std::mem::take(&mut self.seated) {
            self.take_seats(id)?;
        }
        Ok(())
    }

    fn read(&mut self, event: &Event) -> Result<()> {
        let notice = Notice(event);
        match event.r#type.as_str() {
            event::TASK_SUBMITTED => {
                self.asking.asked()?;
                self.open
                    .insert(notice.number(event::TASK)?, Open::default());
                self.tasks.push(Outcome::default());
                Ok(())
            }
            event::TASK_ASSIGNED => self.answer(&notice),
            event::TASK_SEATED => self.seat(&notice),
            event::TASK_REVEALING => {
                let id = notice.number(event::TASK)?;
                self.watched.insert(id);
                self.reveal(id, false)
            }
            event::TASK_REVEALED => {
                let evaluator = self.member(&notice)? - 1 - self.cast.inference.len();
                let quality = ppm(&notice)?;
                self.task(&notice)?.revealed.push((evaluator, quality));
                Ok(())
            }
            event::TASK_SETTLED => {
                let quality = ppm(&notice)?;
                self.last_quality = Some(quality);
                self.task(&notice)?.settled = Some(quality);
                Ok(())
            }
            event::TASK_AUDITED => {
                self.audits += 1;
                Ok(())
            }
            event::NODE_PAID => self.pay(&notice),
            event::NODE_SLASHED => {
                let member = self.member(&notice)?;
                self.actors[member - 1].slashed += notice.number(event::AMOUNT)?;
                Ok(())
            }
            event::TASK_FINAL => {
                self.task(&notice)?.paid_by = Some(ppm(&notice)?);
                self.end(&notice)
            }
            event::TASK_REFUNDED => self.end(&notice),
            event::TASK_SET_ASIDE => {
                let id = notice.number(event::TASK)?;
                Err(Error::unreadable(
                    "end of a task",
                    format!("task {id} was set aside"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// An inference node was drawn: it prepares its answer for the next block.
    fn answer(&mut self, notice: &Notice<'_>) -> Result<()> {
        let (id, member) = (notice.number(event::TASK)?, self.member(notice)?);
        let role = &self.cast.inference[member - 1];
        let actor = &mut self.actors[member - 1];
        actor.duties += 1;
        let question = self.asking.of(id)?;
        let questions = &self.setting.questions;
        let asked = (question.number, question.strategy.asks);
        let answer = questions.answer(&role.strategy, self.seed, asked)?;
        if question.goes_back(role.studied) {
            // A node works until it notices that the task was cancelled; a user stops its own node
            // before it begins.
            let wasted = answer.filter(|_| !role.studied);
            actor.cost += wasted.map_or(0, |answer| answer.cost);
            return self.take_back(notice, question);
        }
        let Some(answer) = answer else {
            return Ok(());
        };
        actor.cost += answer.cost;
        let open = self.open.entry(id).or_default();
        (open.raw, open.accomplice) = (answer.raw, role.accomplice);
        let quality = self.scale.quality(answer.raw);
        self.enjoy(question, quality);
        let lie = role.strategy.lies();
        let task = self.task(notice)?;
        (task.truth, task.lie, task.node) = (quality, lie, member - 1);
        let item = AnswerItem {
            task_id: id,
            answer: answer.text,
            ..AnswerItem::default()
        };
        self.outbox.answers.entry(member).or_default().push(item);
        Ok(())
    }

    fn take_back(&mut self, notice: &Notice<'_>, question: Question) -> Result<()> {
        let id = notice.number(event::TASK)?;
        let cancelled = &mut self.outbox.cancelled;
        cancelled.entry(question.user).or_default().push(id);
        self.asking.again(question);
        self.task(notice)?.taken_back = true;
        Ok(())
    }

    /// A user has the answer from its block on, whatever it pays in the end.
    fn enjoy(&mut self, question: Question, quality: u32) {
        // The ordinary user is not an actor.
        let Some(user) = question.user.checked_sub(1) else {
            return;
        };
        if question.strategy.asks.wants_answers() {
            self.actors[user].gained += self.setting.world.worth(quality);
        }
    }

    fn seat(&mut self, notice: &Notice<'_>) -> Result<()> {
        let (id, member) = (notice.number(event::TASK)?, self.member(notice)?);
        let attempt = notice.number(event::ATTEMPT)? as u32;
        let open = self.open.entry(id).or_default();
        if self.seated.insert(id) {
            open.attempt = attempt;
            open.seats.clear();
            open.plans.clear();
        }
        open.seats.push(member);
        Ok(())
    }

    /// A whole committee is known: its members plan and commit.
    fn take_seats(&mut self, id: u64) -> Result<()> {
        let first = 1 + self.cast.inference.len();
        let Some(open) = self.open.get_mut(&id) else {
            return Ok(());
        };
        let strategy = |member: usize| self.cast.evaluators[member - first].strategy;
        let ring: Vec<usize> = open
            .seats
            .iter()
            .copied()
            .filter(|member| strategy(*member).is_ring())
            .collect();
        for member in open.seats.clone() {
            let seat = Seat {
                truth: open.raw,
                last_quality: self.last_quality,
                prior_mean: self.prior_mean,
                seats: open.seats.len(),
                ring_seats: ring.len(),
                leads_ring: ring.first() == Some(&member),
                answered_by_accomplice: open.accomplice,
                scale: &self.scale,
            };
            let mut rng = random::generator(self.seed, "seat", id, member as u64);
            let plan = strategy(member).plan(&seat, &mut rng);
            let actor = &mut self.actors[member - 1];
            actor.duties += 1;
            if plan.evaluated {
                actor.cost += self.setting.world.evaluation_cost;
            }
            let address = self.chain.address_bytes(member);
            let salt = salt(self.seed, id, member);
            let hash = commitment(CHAIN_ID, id, open.attempt, &address, plan.raw, &salt);
            open.plans.insert(member, plan);
            self.outbox
                .commits
                .entry(member)
                .or_default()
                .push(CommitItem {
                    task_id: id,
                    commitment: hash.to_vec(),
                });
        }
        Ok(())
    }

    /// The waiting evaluators, or the others, reveal in the next block.
    fn reveal(&mut self, id: u64, late: bool) -> Result<()> {
        let Some(open) = self.open.get(&id) else {
            return Ok(());
        };
        let seen: Vec<u32> = self.tasks[id as usize - 1]
            .revealed
            .iter()
            .map(|(_, quality)| *quality)
            .collect();
        for (member, plan) in &open.plans {
            if plan.waits != late || (late && !self.pays(plan, &seen)) {
                continue;
            }
            self.outbox
                .reveals
                .entry(*member)
                .or_default()
                .push(RevealItem {
                    task_id: id,
                    raw_score: plan.raw,
                    salt: salt(self.seed, id, *member).to_vec(),
                });
        }
        Ok(())
    }

    /// Whether a score is within the tolerance of the median of the others' reveals.
    fn pays(&self, plan: &Plan, seen: &[u32]) -> bool {
        let mut sorted = seen.to_vec();
        sorted.sort_unstable();
        let Some(median) = sorted.get(sorted.len() / 2) else {
            return true;
        };
        self.scale.quality(plan.raw).abs_diff(*median) < self.setting.params.score_tolerance
    }

    fn pay(&mut self, notice: &Notice<'_>) -> Result<()> {
        let member = self.member(notice)?;
        if member <= self.cast.inference.len() {
            self.task(notice)?.payout = notice.number(event::AMOUNT)?;
        }
        Ok(())
    }

    fn end(&mut self, notice: &Notice<'_>) -> Result<()> {
        self.open.remove(&notice.number(event::TASK)?);
        Ok(())
    }

    /// Ids begin at 1 and have no gaps.
    fn task(&mut self, notice: &Notice<'_>) -> Result<&mut Outcome> {
        let id = notice.number(event::TASK)?;
        let index = (id as usize).wrapping_sub(1);
        let task = self.tasks.get_mut(index);
        task.ok_or_else(|| Error::unreadable("event", format!("task {id} was never asked")))
    }

    fn member(&self, notice: &Notice<'_>) -> Result<usize> {
        self.chain.member(notice.text(event::NODE)?)
    }

    fn finish(mut self) -> Result<Episode> {
        let after = self.chain.wealth()?;
        for (index, actor) in self.actors.iter_mut().enumerate() {
            let change = after[index + 1] as i128 - self.before[index + 1] as i128;
            let gained = i128::from(actor.gained) - i128::from(actor.cost);
            // No run moves more than 2^63 base units.
            actor.profit = (change + gained) as i64;
        }
        Ok(Episode {
            actors: self.actors,
            questions: self.setting.tasks,
            tasks: self.tasks,
            blocks: self.chain.height(),
            audits: self.audits,
        })
    }
}

fn ppm(notice: &Notice<'_>) -> Result<u32> {
    Ok(notice.number(event::QUALITY)? as u32)
}

fn salt(seed: u64, task: u64, member: usize) -> [u8; 32] {
    random::bytes(seed, "salt", task, member as u64)
}
