//! Replays the draw of a session's node from the state and compares it with the record, as
//! `crate::modules::tasks::replay` does for tasks.

use poq_proto::code;
use poq_proto::v1::Session;
use poq_store::State;

use super::draw::{operators_of_set, repeat_draw, slots};
use super::get;
use crate::chain;
use crate::error::{Result, ensure, reject};
use crate::execution::{BlockContext, Execution};
use crate::modules::nodes::{self, Work};
use crate::modules::tasks::replay::{Candidate, MAX_CANDIDATES, Pool};

/// The draw of a session's node as the chain recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The session.
    pub session: u64,
    /// The height of the block that drew.
    pub height: u64,
    /// The beacon of that height in the state.
    pub beacon: [u8; 32],
    /// The beacon that the record names.
    pub recorded_beacon: Vec<u8>,
    /// The operator in the record.
    pub recorded: String,
    /// The operators of the sessions of the set before this one, which it could not draw.
    pub excluded: Vec<String>,
}

/// A draw as recorded and as repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The recorded draw.
    pub record: Record,
    /// The candidates.
    pub pool: Pool,
    /// The operator that the repeated draw selects.
    pub repeated: Option<String>,
}

impl Replay {
    /// Whether the recorded draw equals the repeated one.
    pub fn is_right(&self) -> bool {
        let Self {
            record, repeated, ..
        } = self;
        record.recorded_beacon == record.beacon && repeated.as_ref() == Some(&record.recorded)
    }
}

/// The height of the draw of a session's node.
///
/// # Errors
/// `NOT_FOUND` if no node is drawn.
pub fn draw_height(session: &Session) -> Result<u64> {
    match &session.node {
        Some(node) => Ok(node.height),
        None => reject!(code::NOT_FOUND, "session {} has no node", session.id),
    }
}

/// Reads a draw's record from the state of its height.
///
/// # Errors
/// As [`draw_height`]; `INVALID_REQUEST` if the state is of another height.
pub fn record(state: &mut State, id: u64) -> Result<Record> {
    let session = get(state, id)?;
    let height = draw_height(&session)?;
    ensure!(
        height == state.version(),
        code::INVALID_REQUEST,
        "the node of session {id} was drawn at height {height}, not {}",
        state.version()
    );
    let block = chain::context(state, height)?;
    let excluded = operators_of_set(&Execution::new(state, &block), &session)?;
    let node = session.node.unwrap_or_default();
    Ok(Record {
        session: id,
        height,
        beacon: chain::beacon(state)?,
        recorded_beacon: node.beacon,
        recorded: node.operator,
        excluded,
    })
}

/// Repeats a draw on the state of the height before it.
///
/// # Errors
/// `INVALID_REQUEST` if the state is of another height, and the errors of reading it.
pub fn replay(before: &mut State, record: Record) -> Result<Replay> {
    ensure!(
        record.height == before.version().saturating_add(1),
        code::INVALID_REQUEST,
        "the draw of height {} uses the state of the height before, not that of {}",
        record.height,
        before.version()
    );
    let block = BlockContext {
        beacon: record.beacon,
        ..chain::context(before, record.height)?
    };
    let session = get(before, record.session)?;
    let ctx = Execution::new(before, &block);
    let node = repeat_draw(&ctx, &session, &record.excluded)?;
    let excluded = slots(&ctx, &record.excluded)?;
    let candidates = nodes::candidates(ctx.state, Work::Sessions, &session.model, MAX_CANDIDATES)?;
    let candidate = |(node, weight): (poq_proto::v1::Node, u128)| Candidate {
        excluded: excluded.contains(&node.slot),
        operator: node.operator,
        weight,
    };
    Ok(Replay {
        pool: Pool {
            total_weight: nodes::total_weight(ctx.state, Work::Sessions, &session.model)?,
            candidates: candidates.into_iter().map(candidate).collect(),
            model: session.model,
        },
        record,
        repeated: node.map(|node| node.operator),
    })
}
