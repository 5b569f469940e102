//! The same answers without sessions: a task for each, which its user submits by a transaction of its
//! own.

use std::collections::BTreeSet;

use poq_client::{Any, tx::any};
use poq_proto::event;
use poq_proto::v1::{AnswerItem, MsgSubmitAnswers, MsgSubmitTask};
use tendermint_proto::v0_38::abci::Event;

use super::bill::{Bill, Ledger};
use super::committees::Committees;
use super::strategy::Answer;
use super::{NODE, Play, USER};
use crate::chain::{Chain, Notice};
use crate::error::{Error, Result};
use crate::world::{MODEL, STANDARD, text};

/// Tasks that the user submits in one block.
const BATCH: usize = 100;
/// Blocks after which an open task means that the chain is stuck.
const PATIENCE: u64 = 200;
/// Bytes of a usual prompt, which the base price includes.
const PROMPT_BYTES: usize = 140;

pub(super) struct Driver<'a> {
    play: &'a Play,
    chain: Chain,
    /// By task id; ids begin at 1 and have no gaps.
    answers: Vec<Answer>,
    committees: Committees,
    ledger: Ledger,
    before: Vec<u128>,
    open: BTreeSet<u64>,
    /// Tasks whose node was drawn in the last block.
    assigned: Vec<u64>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        play: &'a Play,
        chain: Chain,
        answers: Vec<Answer>,
        seed: u64,
    ) -> Result<Self> {
        Ok(Self {
            play,
            answers,
            committees: Committees::new(play.ring, seed),
            ledger: Ledger::default(),
            before: chain.wealth()?,
            open: BTreeSet::new(),
            assigned: Vec::new(),
            chain,
        })
    }

    pub(super) fn bill(mut self) -> Result<Bill> {
        let mut left = self.answers.len();
        while left > 0 {
            let batch = left.min(BATCH);
            left -= batch;
            let submissions = vec![(USER, vec![self.submission()]); batch];
            self.block(submissions)?;
            self.finish_batch()?;
        }
        let mut protocol = 0;
        for id in 1..=self.answers.len() as u64 {
            protocol += self.chain.task(id)?.settlement.unwrap_or_default().protocol;
        }
        let counts = (self.answers.len() as u64, self.committees.tasks);
        Bill::of(&self.chain, self.ledger, &self.before, counts, protocol)
    }

    fn submission(&self) -> Any {
        any(&MsgSubmitTask {
            user: self.chain.address(USER).to_owned(),
            model: MODEL.into(),
            prompt: "?".repeat(PROMPT_BYTES),
            max_answer_bytes: STANDARD.answer_bytes as u32,
            max_fee: self.play.world.price(),
            ..MsgSubmitTask::default()
        })
    }

    /// Node and evaluators do their duties until every task is over.
    fn finish_batch(&mut self) -> Result<()> {
        for _ in 0..PATIENCE {
            if self.open.is_empty() {
                return Ok(());
            }
            let mut sent = self.committees.messages(&self.chain);
            sent.extend(self.answer());
            self.block(sent)?;
        }
        Err(Error::Stuck {
            open: self.open.len(),
            blocks: PATIENCE,
        })
    }

    /// The node answers the tasks that it was drawn for.
    fn answer(&mut self) -> Option<(usize, Vec<Any>)> {
        let mut items = Vec::new();
        for task_id in std::mem::take(&mut self.assigned) {
            if let Some(answer) = self.answers.get((task_id as usize).wrapping_sub(1)) {
                let (raw, bytes) = (answer.drawn.raw, answer.drawn.bytes);
                self.committees.opened(task_id, raw, answer.junk);
                items.push(AnswerItem {
                    task_id,
                    answer: text(raw, bytes),
                    ..AnswerItem::default()
                });
            }
        }
        let operator = self.chain.address(NODE).to_owned();
        (!items.is_empty()).then(|| (NODE, vec![any(&MsgSubmitAnswers { operator, items })]))
    }

    fn block(&mut self, sent: Vec<(usize, Vec<Any>)>) -> Result<()> {
        for event in self.chain.block(sent)? {
            self.read(&event)?;
            self.committees.read(&event, &self.chain)?;
            self.ledger.read(&event, &self.chain)?;
        }
        Ok(())
    }

    fn read(&mut self, event: &Event) -> Result<()> {
        let task = || Notice(event).number(event::TASK);
        match event.r#type.as_str() {
            event::TASK_SUBMITTED => drop(self.open.insert(task()?)),
            event::TASK_ASSIGNED => self.assigned.push(task()?),
            event::TASK_FINAL => drop(self.open.remove(&task()?)),
            _ => {}
        }
        Ok(())
    }
}
