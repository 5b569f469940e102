//! The phases of a block, without ABCI: which transactions may enter one, and what they do.

use poq_proto::code::{self, Code};
use poq_store::State;
use tendermint_proto::v0_38::abci::{Event, ExecTxResult};

use crate::chain;
use crate::error::{Error, Result, ensure};
use crate::execution::{BlockContext, Execution};
use crate::modules::audits::{self, Auditor};
use crate::modules::beacon::{self, Accepted, Carried, LastCommit};
use crate::modules::validators::{self, ValidatorPower, Vote};
use crate::modules::{sessions, stake, tasks};
use crate::tx::{Signatures, Unverified, Verifier, decode, in_turn};

/// Gas of a transaction: the limit that its sender set, and the amount that it needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gas {
    /// The limit that the sender set.
    pub wanted: i64,
    /// The amount that the transaction needs.
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

/// A block to execute: proposed, or decided by consensus.
#[derive(Clone, Debug)]
pub struct Block<'a, T> {
    /// The height: the last one plus one.
    pub height: u64,
    /// The block's hash. It advances the beacon of the next block while votes carry no VRF outputs.
    pub hash: &'a [u8],
    /// The block's entries: the VRF outputs of the votes first, if they are due, then the
    /// transactions.
    pub txs: &'a [T],
    /// The votes for the block before.
    pub last_commit: LastCommit,
    /// Consensus addresses of validators with evidence of double-signing.
    pub offenders: Vec<Vec<u8>>,
}

impl<'a, T> Block<'a, T> {
    /// A block without votes and evidence.
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

/// The result of a finished block.
#[derive(Debug)]
pub struct Outcome {
    /// One result per entry, in order.
    pub results: Vec<ExecTxResult>,
    /// Events of the block's beginning and end.
    pub events: Vec<Event>,
    /// Changes of the validator set for CometBFT, one entry per key.
    pub validator_updates: Vec<ValidatorPower>,
    /// The height from which CometBFT must extend votes, if a transaction of this block set it.
    pub vote_extensions_height: Option<u64>,
}

/// An open block: begun, not ended. Proposing, validating and executing a decided block all run
/// this code, so they agree on what a block may contain.
pub struct OpenBlock {
    state: State,
    context: BlockContext,
    /// Results of the entries so far.
    results: Vec<ExecTxResult>,
    /// Events of the block's beginning.
    events: Vec<Event>,
    /// Number of tasks that drew nodes.
    drawn: usize,
    /// The first height with vote extensions, as of the beginning of the block.
    extensions_before: u64,
}

impl OpenBlock {
    /// Begins a block: advances the beacon, draws nodes for waiting tasks, punishes and pays
    /// validators, and draws the audits.
    pub fn begin<T>(mut state: State, block: &Block<'_, T>, carried: Carried) -> Result<Self> {
        let extensions_before = chain::vote_extensions_height(&state)?;
        let (votes, results) = move_beacon(&mut state, block, carried)?;
        let context = chain::context(&state, block.height)?;
        let mut ctx = Execution::new(&mut state, &context);
        // Draws come first: nothing in this block may change the weights that its beacon draws by
        // (ADR 33).
        sessions::draw_due(&mut ctx)?;
        let drawn = tasks::draw_due(&mut ctx)?;
        sessions::note_ended(&mut ctx, &drawn.ended)?;
        for offender in &block.offenders {
            step(&mut ctx, |ctx| validators::punish(ctx, offender))?;
        }
        step(&mut ctx, |ctx| validators::distribute_fees(ctx, &votes))?;
        audits::draw_due(&mut ctx)?;
        let events = ctx.into_events();
        Ok(Self {
            state,
            context,
            results,
            events,
            drawn: drawn.tasks,
            extensions_before,
        })
    }

    /// Executes the transactions of a decided block. Each gets a result, even an invalid one.
    pub fn execute(&mut self, txs: &[impl AsRef<[u8]> + Sync], verifier: &Verifier) -> Result<()> {
        self.run(txs, verifier, |_| Ok(()))
    }

    /// Executes the transactions of a proposal. Returns an error for the first one that must not be
    /// in a block.
    pub fn require(&mut self, txs: &[impl AsRef<[u8]> + Sync], verifier: &Verifier) -> Result<()> {
        let sizes = txs.iter().map(|tx| proposal_bytes(tx.as_ref().len()));
        let (size, most) = (sizes.sum::<usize>(), self.context.params.max_block_bytes);
        ensure!(
            size <= most as usize,
            code::INVALID_REQUEST,
            "the transactions of the block have {size} bytes, more than {most}"
        );
        self.run(txs, verifier, |refusal| refusal.map_or(Ok(()), Err))
    }

    /// Executes transactions until `judge` turns a refusal into an error.
    fn run(
        &mut self,
        txs: &[impl AsRef<[u8]> + Sync],
        verifier: &Verifier,
        judge: impl Fn(Option<Error>) -> Result<()> + Sync,
    ) -> Result<()> {
        let (context, results) = (&self.context, &mut self.results);
        in_turn(txs, &mut self.state, context, verifier, |state, _, tx| {
            let delivered = deliver(state, context, tx, verifier)?;
            results.push(delivered.result);
            judge(delivered.refusal)
        })
    }

    /// Selects the transactions that may be in the block, in order, at most `room` bytes. Duties
    /// may take all of it, other transactions half, so that nobody can buy the room that duties
    /// need.
    pub fn admit<T: AsRef<[u8]> + Clone + Sync + Send>(
        &mut self,
        txs: &[T],
        mut room: usize,
        verifier: &Verifier,
    ) -> Result<Vec<T>> {
        let context = &self.context;
        let mut paid_room = room / 2;
        let mut admitted = Vec::with_capacity(txs.len());
        in_turn(
            txs,
            &mut self.state,
            context,
            verifier,
            |state, tx, ready| {
                let size = proposal_bytes(tx.as_ref().len());
                let free = ready.as_ref().is_ok_and(Unverified::is_free);
                if size > room || !free && size > paid_room {
                    return Ok(());
                }
                state.begin();
                match deliver(state, context, ready, verifier)?.refusal {
                    Some(_) => state.rollback()?,
                    None => {
                        state.commit()?;
                        room = room.saturating_sub(size);
                        if !free {
                            paid_room = paid_room.saturating_sub(size);
                        }
                        admitted.push(tx.clone());
                    }
                }
                Ok(())
            },
        )?;
        Ok(admitted)
    }

    /// The block's height.
    pub fn height(&self) -> u64 {
        self.context.height
    }

    /// Ends the block: concludes audits, advances the tasks and sessions that are due, and releases
    /// stakes.
    pub fn end(self, auditor: &Auditor) -> Result<(Outcome, State)> {
        let Self {
            mut state,
            context,
            results,
            mut events,
            drawn,
            extensions_before,
        } = self;
        // The end of a block uses the parameters that its transactions set, so that the state of
        // this height alone explains what happened here.
        let context = chain::context(&state, context.height)?;
        let mut ctx = Execution::new(&mut state, &context);
        audits::conclude_due(&mut ctx, auditor)?;
        let advanced = tasks::advance_due(&mut ctx, drawn)?;
        audits::enter(&mut ctx, &advanced.settled)?;
        sessions::note_ended(&mut ctx, &advanced.ended)?;
        sessions::advance_due(&mut ctx)?;
        stake::release_due(&mut ctx)?;
        events.extend(ctx.into_events());
        let outcome = Outcome {
            results,
            events,
            validator_updates: validators::take_updates(&mut state)?,
            vote_extensions_height: Some(chain::vote_extensions_height(&state)?)
                .filter(|height| *height != extensions_before),
        };
        Ok((outcome, state))
    }
}

impl<T: AsRef<[u8]>> Block<'_, T> {
    /// Checks and returns the VRF outputs that the block carries.
    ///
    /// # Errors
    /// If outputs are due and the block does not begin with valid ones.
    pub fn carried(&self, state: &State, verifier: &beacon::Verifier) -> Result<Carried> {
        let first = self.txs.first().map(AsRef::as_ref);
        beacon::accept(state, self.height, first, &self.last_commit, verifier)
    }

    /// [`carried`](Self::carried) for a decided block. Validators accept no block with invalid
    /// outputs. If more than two thirds of them do so nevertheless, the chain continues as if there
    /// were no outputs, in the same way on every node.
    pub fn carried_once_decided(
        &self,
        state: &State,
        verifier: &beacon::Verifier,
    ) -> Result<Carried> {
        match self.carried(state, verifier) {
            Err(error) if error.is_deterministic() => {
                tracing::error!(height = self.height, log = %error, "a block has invalid outputs");
                Ok(Carried::NotDue)
            }
            carried => carried,
        }
    }

    /// The transactions: the entries after the VRF outputs.
    pub fn txs_behind(&self, carried: &Carried) -> &[T] {
        let entries = usize::from(*carried != Carried::NotDue);
        self.txs.get(entries..).unwrap_or_default()
    }
}

/// Advances the beacon by the carried outputs, or else by a hash. Returns the votes that count, and
/// the result of the outputs' entry if there is one.
fn move_beacon<T>(
    state: &mut State,
    block: &Block<'_, T>,
    carried: Carried,
) -> Result<(Vec<Vote>, Vec<ExecTxResult>)> {
    match carried {
        Carried::NotDue => {
            chain::advance_beacon_by_hash(state, block.hash)?;
            Ok((block.last_commit.votes.clone(), Vec::new()))
        }
        Carried::Outputs(Accepted { votes, outputs }) => {
            let next = beacon::beacon_after_outputs(&chain::beacon(state)?, &outputs);
            chain::advance_beacon(state, next)?;
            Ok((votes, vec![ExecTxResult::default()]))
        }
    }
}

/// Runs a part of a block that fails only through a bug of this application or of CometBFT. The
/// chain continues without it.
fn step(
    ctx: &mut Execution<'_>,
    part: impl FnOnce(&mut Execution<'_>) -> Result<()>,
) -> Result<()> {
    match ctx.attempt(part) {
        Err(error) if error.is_deterministic() => {
            tracing::error!(height = ctx.block.height, log = %error, "a part of a block failed");
            Ok(())
        }
        outcome => outcome,
    }
}

/// The effect of a transaction in a block.
struct Delivered {
    result: ExecTxResult,
    /// Why the transaction must not be in a proposal. It must be authentic and pay its fee; a free
    /// one must succeed, and most of its items with it.
    refusal: Option<Error>,
}

/// Executes one transaction of a block. A failed transaction is a result, not an error.
fn deliver(
    state: &mut State,
    block: &BlockContext,
    tx: Result<Unverified>,
    verifier: &Verifier,
) -> Result<Delivered> {
    let tx = match tx {
        Ok(tx) => tx,
        Err(error) => return refused(Gas::default(), error),
    };
    let (gas, free) = (Gas::of(&tx), tx.is_free());
    let mut ctx = Execution::new(state, block);
    let tx = match ctx.attempt(|ctx| tx.authenticate(ctx, Signatures::Verify, verifier)) {
        Ok(tx) => tx,
        Err(error) => return refused(gas, error),
    };
    match tx.execute(&mut ctx) {
        Ok(data) => Ok(Delivered {
            refusal: require_useful(&ctx, free).err(),
            result: ExecTxResult {
                data: data.into(),
                gas_wanted: gas.wanted,
                gas_used: gas.used,
                events: ctx.into_events(),
                ..ExecTxResult::default()
            },
        }),
        Err(error) if free => refused(gas, error),
        Err(error) => {
            let (code, log) = rejection(error)?;
            Ok(Delivered {
                result: ExecTxResult {
                    events: ctx.into_events(),
                    ..failed(gas, code, log)
                },
                refusal: None,
            })
        }
    }
}

fn refused(gas: Gas, error: Error) -> Result<Delivered> {
    let Some(code) = error.code() else {
        return Err(error);
    };
    Ok(Delivered {
        result: failed(gas, code, error.to_string()),
        refusal: Some(error),
    })
}

fn failed(gas: Gas, code: Code, log: String) -> ExecTxResult {
    ExecTxResult {
        code: code.number,
        codespace: code.codespace.to_owned(),
        log,
        gas_wanted: gas.wanted,
        gas_used: gas.used,
        ..ExecTxResult::default()
    }
}

/// The code and text of a failed transaction. An error that must stop the node is returned as one.
pub fn rejection(error: Error) -> Result<(Code, String)> {
    match error.code() {
        Some(code) => Ok((code, error.to_string())),
        None => Err(error),
    }
}

/// The check's result for a transaction that would succeed.
pub struct Checked {
    /// The transaction's gas.
    pub gas: Gas,
    /// Whether the transaction has only duty messages.
    pub free: bool,
}

/// Runs a transaction for the mempool or a simulation. Unless it succeeds as a whole, it leaves no
/// trace.
pub fn check(
    state: &mut State,
    block: &BlockContext,
    bytes: &[u8],
    signatures: Signatures,
    verifier: &Verifier,
) -> Result<Checked> {
    let tx = decode(bytes, &block.params)?;
    let gas = Gas::of(&tx);
    let free = tx.is_free();
    Execution::new(state, block).attempt(|ctx| {
        tx.authenticate(ctx, signatures, verifier)?.execute(ctx)?;
        require_useful(ctx, free)?;
        Ok(Checked { gas, free })
    })
}

/// Free transactions have reserved room in blocks, for duties. Some items may fail, because tasks
/// advance while the transaction travels, but not the greater part: one duty must not carry
/// megabytes of anything else.
fn require_useful(ctx: &Execution<'_>, free: bool) -> Result<()> {
    let (done, failed) = (ctx.items.done, ctx.items.failed);
    ensure!(
        !free || done >= failed,
        code::MOSTLY_FAILING,
        "the greater part of this free transaction would fail; leave out the items that the chain does not ask for"
    );
    Ok(())
}

/// The room that a transaction takes in a block: its bytes and their protobuf header.
pub fn proposal_bytes(length: usize) -> usize {
    length
        .saturating_add(1)
        .saturating_add(prost::length_delimiter_len(length))
}
