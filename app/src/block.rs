//! The phases of a block, without ABCI: which transactions may enter one, and what they do.

use poq_proto::code::{self, Code};
use tendermint_proto::v0_38::abci::{Event, ExecTxResult};

use crate::beacon::{self, Accepted, Carried, LastCommit};
use crate::chain;
use crate::error::{Error, Result, ensure};
use crate::execution::{BlockContext, Execution};
use crate::modules::audits::{self, Auditor};
use crate::modules::validators::{self, ValidatorPower, Vote};
use crate::modules::{stake, tasks};
use crate::selection::next_beacon;
use crate::store::State;
use crate::tx::{Signatures, Unverified, Verifier, decode, in_turn};

/// Gas of a transaction, as limited by its sender and as needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gas {
    /// The sender's limit.
    pub wanted: i64,
    /// What it needs.
    pub used: i64,
}

impl Gas {
    fn of(tx: &Unverified) -> Self {
        Self {
            wanted: i64::try_from(tx.gas_limit()).unwrap_or(i64::MAX),
            used: i64::try_from(tx.gas_needed()).unwrap_or(i64::MAX),
        }
    }
}

/// A block as consensus decided it.
#[derive(Clone, Debug)]
pub struct Block<'a, T> {
    /// One more than the last one.
    pub height: u64,
    /// Its hash; it moves the beacon as long as no outputs do.
    pub hash: &'a [u8],
    /// The transactions, behind the outputs of votes, if these are due.
    pub txs: &'a [T],
    /// Who voted for the block before.
    pub last_commit: LastCommit,
    /// Consensus addresses of validators that are proven to have signed two blocks at one height.
    pub offenders: Vec<Vec<u8>>,
}

impl<'a, T> Block<'a, T> {
    /// A block with transactions only.
    pub fn new(height: u64, hash: &'a [u8], txs: &'a [T]) -> Self {
        Self {
            height,
            hash,
            txs,
            last_commit: LastCommit::default(),
            offenders: Vec::new(),
        }
    }
}

/// What a finished block reports.
#[derive(Debug)]
pub struct Outcome {
    /// One result per transaction, in order.
    pub results: Vec<ExecTxResult>,
    /// What the chain itself did at the block's beginning and end.
    pub events: Vec<Event>,
    /// What CometBFT must change in the set of validators; one entry for each key.
    pub validator_updates: Vec<ValidatorPower>,
    /// CometBFT must extend votes from this height on, as a transaction of this block has it.
    pub vote_extensions_height: Option<u64>,
}

/// Executes a block: the beacon moves on, validators are punished and paid, the tasks are chosen that
/// are audited, every transaction gets a result, audits are concluded, tasks and stakes that are due
/// move on, and at last those tasks draw that need somebody.
pub fn finalize(
    state: &mut State,
    block: &Block<'_, impl AsRef<[u8]> + Sync>,
    verifier: &Verifier,
    outputs: &beacon::Verifier,
    auditor: &Auditor,
) -> Result<Outcome> {
    let extensions_before = chain::vote_extensions_height(state)?;
    let (votes, mut results) = begin(state, block, outputs)?;
    let context = chain::context(state, block.height)?;
    let mut x = Execution::new(state, &context);
    for offender in &block.offenders {
        step(&mut x, |x| validators::punish(x, offender))?;
    }
    step(&mut x, |x| validators::distribute_fees(x, &votes))?;
    audits::draw_due(&mut x)?;
    let mut events = x.into_events();
    let txs = block.txs.get(results.len()..).unwrap_or_default();
    in_turn(txs, state, &context, verifier, |state, _, tx| {
        results.push(deliver(state, &context, tx, verifier)?);
        Ok(())
    })?;
    // The end of a block goes by the parameters that its transactions leave, so that the state of
    // this height alone explains what happened here.
    let context = chain::context(state, block.height)?;
    let mut x = Execution::new(state, &context);
    audits::conclude_due(&mut x, auditor)?;
    let waiting = tasks::advance_due(&mut x)?;
    stake::release_due(&mut x)?;
    // Last: draws must see the weights that the block commits (ADR 10).
    tasks::draw_waiting(&mut x, waiting)?;
    events.extend(x.into_events());
    Ok(Outcome {
        results,
        events,
        validator_updates: validators::take_updates(state)?,
        vote_extensions_height: Some(chain::vote_extensions_height(state)?)
            .filter(|height| *height != extensions_before),
    })
}

/// Moves the beacon on, by the outputs that the block carries or else by its hash. Returns the
/// votes that count, and the result of the outputs' entry if there is one.
///
/// Validators accept no block with wrong outputs. Should more than two thirds of them do so all
/// the same, the chain goes on as without outputs, and every node alike.
fn begin(
    state: &mut State,
    block: &Block<'_, impl AsRef<[u8]>>,
    verifier: &beacon::Verifier,
) -> Result<(Vec<Vote>, Vec<ExecTxResult>)> {
    let first = block.txs.first().map(AsRef::as_ref);
    let carried = match beacon::accept(state, block.height, first, &block.last_commit, verifier) {
        Err(Error::Rejected { log, .. }) => {
            tracing::error!(height = block.height, log, "a block has wrong outputs");
            Carried::NotDue
        }
        carried => carried?,
    };
    let previous = chain::beacon(state)?;
    match carried {
        Carried::NotDue => {
            chain::advance_beacon(state, next_beacon(&previous, block.hash))?;
            Ok((block.last_commit.votes.clone(), Vec::new()))
        }
        Carried::Outputs(Accepted { votes, outputs }) => {
            chain::advance_beacon(state, beacon::next_beacon(&previous, &outputs))?;
            Ok((votes, vec![ExecTxResult::default()]))
        }
    }
}

/// Runs a part of a block that cannot fail but for a bug of this application or of CometBFT. The
/// chain goes on without it.
fn step(x: &mut Execution<'_>, part: impl FnOnce(&mut Execution<'_>) -> Result<()>) -> Result<()> {
    match x.attempt(part) {
        Err(Error::Rejected { log, .. }) => {
            tracing::error!(height = x.block.height, log, "a part of a block failed");
            Ok(())
        }
        outcome => outcome,
    }
}

/// Executes one transaction of a block. A failure is a result, not an error.
fn deliver(
    state: &mut State,
    block: &BlockContext,
    tx: Result<Unverified>,
    verifier: &Verifier,
) -> Result<ExecTxResult> {
    let tx = match tx {
        Ok(tx) => tx,
        Err(error) => return failed(Gas::default(), error),
    };
    let gas = Gas::of(&tx);
    let mut x = Execution::new(state, block);
    let outcome = x
        .attempt(|x| tx.authenticate(x, Signatures::Verify, verifier))
        .and_then(|tx| tx.execute(&mut x));
    match outcome {
        Ok(data) => Ok(ExecTxResult {
            data: data.into(),
            gas_wanted: gas.wanted,
            gas_used: gas.used,
            events: x.into_events(),
            ..ExecTxResult::default()
        }),
        Err(error) => failed(gas, error),
    }
}

fn failed(gas: Gas, error: Error) -> Result<ExecTxResult> {
    let (code, log) = rejection(error)?;
    Ok(ExecTxResult {
        code: code.number,
        codespace: code.codespace.to_owned(),
        log,
        gas_wanted: gas.wanted,
        gas_used: gas.used,
        ..ExecTxResult::default()
    })
}

/// Code and text of a rejection; a failure of the node itself stays an error.
pub fn rejection(error: Error) -> Result<(Code, String)> {
    match error {
        Error::Rejected { code, log } => Ok((code, log)),
        Error::Store(_) | Error::Audit { .. } => Err(error),
    }
}

/// Runs a transaction for the mempool or a simulation: it must succeed as a whole, or it leaves no
/// trace.
pub fn check(
    state: &mut State,
    block: &BlockContext,
    bytes: &[u8],
    signatures: Signatures,
    verifier: &Verifier,
) -> Result<Gas> {
    let tx = decode(bytes, &block.params)?;
    let gas = Gas::of(&tx);
    let free = tx.is_free();
    Execution::new(state, block).attempt(|x| {
        tx.authenticate(x, signatures, verifier)?.execute(x)?;
        require_useful(x, free)?;
        Ok(gas)
    })
}

/// Whether a transaction may stand in a block after those that were admitted before: it is
/// authentic and pays its fee, or it is free, succeeds and is of use. Proposers and validators ask
/// the same.
pub fn admit(
    state: &mut State,
    block: &BlockContext,
    tx: Unverified,
    verifier: &Verifier,
) -> Result<()> {
    let free = tx.is_free();
    Execution::new(state, block).attempt(|x| {
        let outcome = tx.authenticate(x, Signatures::Verify, verifier)?.execute(x);
        match outcome {
            Err(Error::Rejected { .. }) if !free => Ok(()),
            outcome => {
                outcome?;
                require_useful(x, free)
            }
        }
    })
}

/// A free transaction gets its room in blocks for the duties that it does. Items may fail, because
/// tasks move on while it travels, but not the greater part of it: one duty must not carry
/// megabytes of anything.
fn require_useful(x: &Execution<'_>, free: bool) -> Result<()> {
    let (done, failed) = (x.items.done, x.items.failed);
    ensure!(
        !free || done >= failed,
        code::MOSTLY_FAILING,
        "the greater part of this free transaction would fail; leave out the items that the chain does not ask for"
    );
    Ok(())
}
