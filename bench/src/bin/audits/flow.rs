//! A chain whose every block has tasks of all phases.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use poq_app::block::Block;
use poq_app::{Options, ReferenceScorer};
use poq_proto::event;
use poq_proto::v1::*;

use super::support::{self, Chain, People, SCORER, Wallet, any, duty_message, submit_message};

/// The prompt of [`submit_message`].
pub(crate) const PROMPT: &str = "What is the capital of France?";
const EVALUATORS: u8 = 8;
const INFERENCE_NODES: u8 = 2;
const WORDS: &str = "Paris is the capital and the largest city of France, on the river Seine. ";

/// One of the two chains.
pub(crate) struct Flow {
    chain: Chain,
    tasks: u32,
    answer: String,
    score: i32,
    /// Number of finished audits.
    pub audits: usize,
}

impl Flow {
    /// Creates a chain that audits at least this part of its tasks (ppm) with `scorer`, and whose
    /// evaluators reveal `score` for `answer`.
    pub(crate) fn new(
        min_audit_rate: u32,
        tasks: u32,
        scorer: Arc<dyn ReferenceScorer>,
        answer: &str,
        score: i32,
    ) -> Result<Self, Box<dyn Error>> {
        let params = Params {
            min_audit_rate,
            audit_delay: 3,
            audit_window: 6,
            max_audits_per_block: tasks,
            max_open_tasks: 1_000_000,
            ..support::params()
        };
        let mut people = People {
            user: Wallet::new(1, 0),
            inference: Vec::new(),
            evaluators: Vec::new(),
            validators: Vec::new(),
        };
        let mut number = 0;
        let mut wallets = |first: u8, count: u8| -> Vec<Wallet> {
            let wallets = (first..first + count).map(|secret| {
                number += 1;
                Wallet::new(secret, number)
            });
            wallets.collect()
        };
        people.inference = wallets(50, INFERENCE_NODES);
        people.evaluators = wallets(100, EVALUATORS);
        people.validators = wallets(30, 2);
        let mut genesis = people.genesis(params);
        genesis.evaluator_models = vec![evaluator_model()?];
        for node in &mut genesis.models {
            node.price_per_answer_byte = 1;
        }
        let mut chain = Chain::begin(&genesis, Options::default(), people, false);
        chain.restart(scorer);
        Ok(Self {
            chain,
            tasks,
            answer: answer.to_owned(),
            score,
            audits: 0,
        })
    }

    /// Executes a block with new tasks and all pending duties, and returns the time of `FinalizeBlock` and
    /// `Commit`.
    ///
    /// # Errors
    /// If a transaction fails, or an audit slashes a node: all are honest.
    pub(crate) fn block(&mut self) -> Result<Duration, Box<dyn Error>> {
        let txs = self.transactions();
        let chain = &mut self.chain;
        let height = chain.height + 1;
        let hash = height.to_be_bytes().repeat(4);
        let block = Block {
            last_commit: chain.last_commit(),
            ..Block::new(height, &hash, &txs)
        };
        let start = Instant::now();
        let (outcome, app_hash) = chain.app.finalize_block(&block)?;
        chain.app.commit()?;
        let time = start.elapsed();
        (chain.height, chain.app_hash) = (height, app_hash);
        if let Some(failed) = outcome.results.iter().find(|result| result.code != 0) {
            return Err(format!("a transaction failed: {}", failed.log).into());
        }
        let of_kind = |kind| outcome.events.iter().filter(move |one| one.r#type == kind);
        self.audits += of_kind(event::TASK_AUDITED).count();
        match of_kind(event::NODE_SLASHED).next() {
            Some(slashed) => Err(format!("an honest node was slashed: {slashed:?}").into()),
            None => Ok(time),
        }
    }

    fn transactions(&mut self) -> Vec<Vec<u8>> {
        let message = MsgSubmitTask {
            max_answer_bytes: u32::try_from(self.answer.len()).unwrap_or(u32::MAX),
            max_fee: 1_000_000,
            ..submit_message(&self.chain.user)
        };
        let user = &mut self.chain.user;
        let mut txs: Vec<_> = (0..self.tasks)
            .map(|_| user.sign(vec![any(&message)]))
            .collect();
        for role in [Role::Inference, Role::Evaluator] {
            txs.extend(self.duties(role));
        }
        txs
    }

    fn duties(&mut self, role: Role) -> Vec<Vec<u8>> {
        let wallets = |chain: &mut Chain| match role {
            Role::Inference => std::mem::take(&mut chain.inference),
            _ => std::mem::take(&mut chain.evaluators),
        };
        let mut taken = wallets(&mut self.chain);
        let mut txs = Vec::new();
        for wallet in &mut taken {
            let mut by_phase: BTreeMap<i32, Vec<Duty>> = BTreeMap::new();
            for duty in self.chain.duties(role, &wallet.address) {
                by_phase.entry(duty.phase).or_default().push(duty);
            }
            for duties in by_phase.into_values() {
                let message = duty_message(wallet, &duties, &self.answer, self.score);
                txs.push(wallet.sign(vec![message]));
            }
        }
        match role {
            Role::Inference => self.chain.inference = taken,
            _ => self.chain.evaluators = taken,
        }
        txs
    }
}

/// An answer of `bytes` bytes.
pub(crate) fn answer(bytes: usize) -> String {
    WORDS.chars().cycle().take(bytes).collect()
}

/// The evaluator model of local networks, with the id of the test chains.
///
/// # Errors
/// If the genesis template of local networks has none.
pub(crate) fn evaluator_model() -> Result<EvaluatorModel, Box<dyn Error>> {
    let template = include_bytes!("../../../../testnet/config/genesis-template.json");
    let genesis = poq_app::genesis::parse(template)?;
    let model = genesis.evaluator_models.into_iter().next();
    Ok(EvaluatorModel {
        id: SCORER.into(),
        ..model.ok_or("the template has no evaluator model")?
    })
}
