use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use poq_proto::code;
use poq_proto::v1::{EvaluatorModel, Params};
use poq_store::{Head, Snapshot, StagedCommit, State, Store, WriteSet};

use crate::block::{Block, Gas, OpenBlock, Outcome, proposal_bytes};
use crate::chain;
use crate::error::{Error, Result, ensure, reject};
use crate::genesis::{self, Exported};
use crate::mempool::Mempool;
use crate::modules::audits::{self, Auditor, ReferenceScorer};
use crate::modules::beacon::{self, ExtendedVote, OwnValidator};
use crate::modules::validators::{self, ValidatorPower};
use crate::modules::{bank, models, params};
use crate::proposal::{self, Finalized, Proposal};
use crate::query;
use crate::tx::{Signatures, Verifier};

/// Settings of one node. They never change results.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number of versions of the state that queries can read; 0 keeps all.
    pub keep_versions: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep_versions: 1_000,
        }
    }
}

/// The Proof of Quality application. Clones share one state.
///
/// Consensus calls come one at a time. Queries and mempool checks read immutable snapshots and
/// never wait for consensus.
#[derive(Clone)]
pub struct App {
    store: Store,
    /// The writes of genesis, until the first block stores them.
    genesis: Arc<RwLock<Option<WriteSet>>>,
    /// The last accepted proposal.
    proposal: Arc<Mutex<Option<Proposal>>>,
    /// The finalized block that waits for its commit.
    pending: Arc<Mutex<Option<StagedCommit>>>,
    mempool: Arc<Mutex<Option<Mempool>>>,
    verifier: Arc<Verifier>,
    outputs: Arc<beacon::Verifier>,
    /// The validator for which this node signs vote extensions, if any.
    own: Option<Arc<OwnValidator>>,
    auditor: Arc<Auditor>,
}

/// A value of the authenticated state with its proof.
pub struct Proven {
    /// The value; none if the proof is of its absence.
    pub value: Option<Vec<u8>>,
    /// The proof against the version's app hash, which the header of the next height carries.
    pub proof: ics23::CommitmentProof,
}

impl App {
    /// Opens the application's database, or creates an empty one. `scorer` computes the scores that
    /// audits compare with.
    pub fn open(path: &Path, options: Options, scorer: Arc<dyn ReferenceScorer>) -> Result<Self> {
        let auditor = Auditor::new(scorer).map_err(|error| {
            Error::broken(format!("starting the audit threads failed: {error}"))
        })?;
        let app = Self {
            store: Store::open(path, options.keep_versions)?,
            genesis: Arc::default(),
            proposal: Arc::default(),
            pending: Arc::default(),
            mempool: Arc::default(),
            verifier: Arc::default(),
            outputs: Arc::default(),
            own: None,
            auditor: Arc::new(auditor),
        };
        app.follow_audits()?;
        Ok(app)
    }

    /// Checks that the votes of a node's validator can count, as far as the committed state tells.
    /// The error says why not.
    pub fn check_votes(&self, own: &OwnValidator) -> Result<()> {
        match self.store.head().height {
            0 => Ok(()),
            _ => beacon::check_own_key(&self.committed_state(), own),
        }
    }

    /// Lets this node sign vote extensions for its validator.
    #[must_use]
    pub fn voting_for(mut self, own: OwnValidator) -> Self {
        self.own = Some(Arc::new(own));
        self
    }

    /// The last committed block.
    pub fn head(&self) -> Head {
        self.store.head()
    }

    /// Checks an `app_state` by itself, without the validators of `genesis.json`.
    pub fn check_genesis(&self, chain_id: &str, app_state: &[u8]) -> Result<()> {
        let mut state = State::new(self.store.snapshot());
        genesis::init(&mut state, chain_id, &genesis::parse(app_state)?)
    }

    /// Computes the state of a genesis and its app hash. Nothing is written to disk, so it can be
    /// called again. `validators` are CometBFT's initial validators; `app_state` must name the
    /// owner of each. Votes are extended from `vote_extensions_height` on, unless it is 0.
    pub fn init_chain(
        &self,
        chain_id: &str,
        app_state: &[u8],
        validators: &[ValidatorPower],
        vote_extensions_height: u64,
    ) -> Result<[u8; 32]> {
        let mut state = State::new(self.store.snapshot());
        genesis::init(&mut state, chain_id, &genesis::parse(app_state)?)?;
        validators::genesis::init_powers(&mut state, validators)?;
        beacon::genesis::init(&mut state, vote_extensions_height)?;
        let writes = state.into_writes()?;
        let app_hash = self.store.root_after(&writes)?;
        *self.genesis.write().unwrap_or_else(PoisonError::into_inner) = Some(writes);
        *lock(&self.mempool) = None;
        Ok(app_hash)
    }

    /// Executes a block and computes its app hash; [`App::commit`] makes it durable. If this node
    /// accepted the block as a proposal, its execution is already running and is only waited for.
    pub fn finalize_block(
        &self,
        block: &Block<'_, impl AsRef<[u8]> + Sync>,
    ) -> Result<(Outcome, [u8; 32])> {
        let proposal = lock(&self.proposal).take();
        let begun = proposal.filter(|proposal| proposal.is_of(block));
        let (outcome, staged) = match begun.and_then(Proposal::wait) {
            Some(finalized) => finalized,
            None => self.execute(block)?,
        };
        let app_hash = staged.app_hash();
        *lock(&self.pending) = Some(staged);
        Ok((outcome, app_hash))
    }

    fn execute(&self, block: &Block<'_, impl AsRef<[u8]> + Sync>) -> Result<Finalized> {
        let state = self.committed_state();
        let carried = block.carried_once_decided(&state, &self.outputs)?;
        let txs = block.txs_behind(&carried);
        let mut open = OpenBlock::begin(state, block, carried)?;
        open.execute(txs, &self.verifier)?;
        proposal::finish(open, &self.store, &self.auditor)
    }

    /// Commits the finalized block durably. Its rows are written in the background.
    pub fn commit(&self) -> Result<Head> {
        let staged = lock(&self.pending)
            .take()
            .ok_or_else(|| Error::broken("there is no finalized block to commit"))?;
        // The mempool's connection waits until its state is that of the new block.
        let mut mempool = lock(&self.mempool);
        let head = self.store.commit(staged)?;
        *self.genesis.write().unwrap_or_else(PoisonError::into_inner) = None;
        *mempool = None;
        drop(mempool);
        self.follow_audits()?;
        Ok(head)
    }

    /// Waits until the rows of all committed blocks are written. Nothing needs this; it measures
    /// how long the writing takes.
    pub fn flush(&self) -> Result<()> {
        Ok(self.store.flush()?)
    }

    /// Starts computing the reference scores that the committed state will need.
    fn follow_audits(&self) -> Result<()> {
        audits::follow(&self.auditor, &State::new(self.store.snapshot()))
    }

    /// Checks a transaction for the mempool, on top of those checked before.
    pub fn check_tx(&self, bytes: &[u8], signatures: Signatures) -> Result<Gas> {
        self.with_mempool(|mempool| mempool.check(bytes, signatures, &self.verifier))
    }

    fn with_mempool<T>(&self, use_it: impl FnOnce(&mut Mempool) -> Result<T>) -> Result<T> {
        let mut guard = lock(&self.mempool);
        let mempool = match &mut *guard {
            Some(mempool) => mempool,
            None => guard.insert(self.new_mempool()?),
        };
        use_it(mempool)
    }

    /// The entries of a proposal for `block`, whose hash is not known yet, at most `max_bytes` in
    /// total: the VRF outputs of the votes for the block before, if they are due, then the valid
    /// transactions, in order.
    pub fn prepare_proposal<T: AsRef<[u8]> + Clone + From<Vec<u8>> + Send + Sync>(
        &self,
        block: &Block<'_, T>,
        votes: &[ExtendedVote],
        max_bytes: usize,
    ) -> Result<Vec<T>> {
        let state = self.committed_state();
        let most = params::get(&state)?.max_block_bytes as usize;
        let mut room = max_bytes.min(most);
        let mut proposal = Vec::new();
        if let Some(outputs) = beacon::propose(&state, block.height, votes, &self.outputs)? {
            let (height, size) = (block.height, proposal_bytes(outputs.len()));
            // CometBFT stops if it gets more than it asked for; a proposal without outputs is only
            // refused.
            if size > room {
                tracing::error!(
                    height,
                    size,
                    room,
                    "the votes' outputs are too large for a block"
                );
                return Ok(proposal);
            }
            room = room.saturating_sub(size);
            proposal.push(T::from(outputs));
        }
        let begun = Block {
            txs: &proposal,
            ..block.clone()
        };
        let carried = begun.carried_once_decided(&state, &self.outputs)?;
        let mut open = OpenBlock::begin(state, &begun, carried)?;
        let admitted = open.admit(block.txs, room, &self.verifier)?;
        proposal.extend(admitted);
        Ok(proposal)
    }

    /// Checks that a proposal carries the VRF outputs that are due and that every transaction may
    /// be in a block. The error says why not. The execution continues while validators vote.
    pub fn process_proposal(&self, block: &Block<'_, impl AsRef<[u8]> + Sync>) -> Result<()> {
        // Dropping the proposal of an earlier round waits for its thread.
        *lock(&self.proposal) = None;
        let state = self.committed_state();
        let carried = block.carried(&state, &self.outputs)?;
        let txs = block.txs_behind(&carried);
        let mut open = OpenBlock::begin(state, block, carried)?;
        open.require(txs, &self.verifier)?;
        *lock(&self.proposal) = Some(Proposal::of(block, open, &self.store, &self.auditor));
        Ok(())
    }

    /// This node's vote extension for the block at `height`.
    pub fn extend_vote(&self, height: u64) -> Result<Vec<u8>> {
        match &self.own {
            Some(own) => beacon::extension(&self.committed_state(), height, own),
            None => reject!(
                code::NO_VRF_KEY,
                "the node votes, but was started without a validator's VRF keys"
            ),
        }
    }

    /// Checks the extension of a validator's vote for the block at `height`. The error says what is
    /// wrong.
    pub fn verify_vote_extension(&self, height: u64, vote: &ExtendedVote) -> Result<()> {
        beacon::verify_extension(&self.committed_state(), height, vote, &self.outputs)
    }

    /// Answers a query by gRPC path at a height, or at the last one. Returns the height too.
    pub fn query(&self, path: &str, data: &[u8], height: Option<u64>) -> Result<(Vec<u8>, u64)> {
        if path == query::SIMULATE && height.is_none() {
            // On top of the mempool: a client simulates with the sequence that it will send.
            return self.with_mempool(|mempool| mempool.query(path, data));
        }
        let snapshot = self.snapshot(height)?;
        let version = snapshot.version();
        let answer = query::route(&mut State::new(snapshot), path, data)?;
        Ok((answer, version))
    }

    /// Reads a raw key with its proof at a height, or at the last one. Returns the height too.
    pub fn prove(&self, key: &[u8], height: Option<u64>) -> Result<(Proven, u64)> {
        ensure!(
            !key.is_empty(),
            code::INVALID_REQUEST,
            "a key has at least one byte"
        );
        let snapshot = self.snapshot(height)?;
        let (value, proof) = snapshot.prove(key)?;
        Ok((Proven { value, proof }, snapshot.version()))
    }

    /// Every balance at a height, or at the last one: address, denom, base units. For tools.
    pub fn balances(&self, height: Option<u64>) -> Result<Vec<(String, String, u128)>> {
        bank::all_balances(&State::new(self.snapshot(height)?))
    }

    /// The state at a height, or the last one, as the genesis of another chain. For tools.
    pub fn export(&self, height: Option<u64>) -> Result<Exported> {
        genesis::export(State::new(self.snapshot(height)?))
    }

    /// The parameters of the last committed state. For tools.
    pub fn params(&self) -> Result<Params> {
        params::get(&State::new(self.store.snapshot()))
    }

    /// Every registered evaluator model in the last committed state. For tools.
    pub fn evaluator_models(&self) -> Result<Vec<EvaluatorModel>> {
        models::all_evaluator_models(&State::new(self.store.snapshot()))
    }

    fn snapshot(&self, height: Option<u64>) -> Result<Snapshot> {
        let head = self.store.head().height;
        ensure!(
            head > 0,
            code::NO_BLOCK,
            "the chain has no block yet; ask again once it has"
        );
        let height = height.unwrap_or(head);
        ensure!(
            (1..=head).contains(&height),
            code::INVALID_REQUEST,
            "height {height} does not exist yet, the last one is {head}"
        );
        Ok(self.store.snapshot_at(height)?)
    }

    /// A fresh state on the last committed block, or on genesis before the first.
    fn committed_state(&self) -> State {
        let genesis = self.genesis.read().unwrap_or_else(PoisonError::into_inner);
        match &*genesis {
            Some(writes) => State::with_writes(self.store.snapshot(), writes.clone()),
            None => State::new(self.store.snapshot()),
        }
    }

    fn new_mempool(&self) -> Result<Mempool> {
        let state = self.committed_state();
        let next_block = chain::context(&state, self.store.head().height.saturating_add(1))?;
        Ok(Mempool::new(state, next_block))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
