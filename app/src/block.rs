//! The phases of a block, without ABCI: which transactions may enter one, and what they do.

use poq_proto::code::{self, Code};
use tendermint_proto::v0_38::abci::{Event, ExecTxResult};

use crate::chain;
use crate::error::{Error, Result, ensure};
use crate::execution::{BlockContext, Execution};
use crate::modules::tasks;
use crate::store::State;
use crate::tx::{Signatures, Unverified, decode};

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

/// What a finished block reports.
#[derive(Debug)]
pub struct Outcome {
    /// One result per transaction, in order.
    pub results: Vec<ExecTxResult>,
    /// What the chain itself did at the block's end.
    pub events: Vec<Event>,
}

/// Executes a block: the beacon moves on, every transaction gets a result, tasks that are due move
/// on, and at last those draw who need somebody.
pub fn finalize(
    state: &mut State,
    height: u64,
    hash: &[u8],
    txs: &[impl AsRef<[u8]>],
) -> Result<Outcome> {
    chain::advance_beacon(state, hash)?;
    let block = chain::context(state, height)?;
    let results = txs
        .iter()
        .map(|tx| deliver(state, &block, tx.as_ref()))
        .collect::<Result<_>>()?;
    // The end of a block goes by the parameters that its transactions leave, so that the state of
    // this height alone explains what happened here.
    let block = chain::context(state, height)?;
    let mut x = Execution::new(state, &block);
    // Last: its draws must see the weights that the block commits (ADR 12).
    tasks::end_block(&mut x)?;
    Ok(Outcome {
        results,
        events: x.into_events(),
    })
}

/// Executes one transaction of a block. A failure is a result, not an error.
fn deliver(state: &mut State, block: &BlockContext, bytes: &[u8]) -> Result<ExecTxResult> {
    let tx = match decode(bytes, &block.params) {
        Ok(tx) => tx,
        Err(error) => return failed(Gas::default(), error),
    };
    let gas = Gas::of(&tx);
    let mut x = Execution::new(state, block);
    let outcome = x
        .attempt(|x| tx.authenticate(x, Signatures::Verify))
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

/// Code and text of a rejection; a failed store stays an error.
pub fn rejection(error: Error) -> Result<(Code, String)> {
    match error {
        Error::Rejected { code, log } => Ok((code, log)),
        Error::Store(_) => Err(error),
    }
}

/// Runs a transaction for the mempool or a simulation: it must succeed as a whole, or it leaves no
/// trace.
pub fn check(
    state: &mut State,
    block: &BlockContext,
    bytes: &[u8],
    signatures: Signatures,
) -> Result<Gas> {
    let tx = decode(bytes, &block.params)?;
    let gas = Gas::of(&tx);
    let free = tx.is_free();
    Execution::new(state, block).attempt(|x| {
        tx.authenticate(x, signatures)?.execute(x)?;
        require_useful(x, free)?;
        Ok(gas)
    })
}

/// Whether a transaction may stand in a block after those that were admitted before: it is
/// authentic and pays its fee, or it is free, succeeds and is of use. Proposers and validators ask
/// the same.
pub fn admit(state: &mut State, block: &BlockContext, bytes: &[u8]) -> Result<()> {
    let tx = decode(bytes, &block.params)?;
    let free = tx.is_free();
    Execution::new(state, block).attempt(|x| {
        let outcome = tx.authenticate(x, Signatures::Verify)?.execute(x);
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
