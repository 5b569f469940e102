//! Inference nodes that offer sessions: where they are reached, the draw, and what a session's end
//! means for its node.

use poq_proto::v1::{Node, Role, Stream};
use poq_proto::{code, event};
use poq_store::State;

use super::duties::{punish_miss, update_reputation};
use super::{get, keys, put, put_weighted};
use crate::ecdsa::is_compressed_key;
use crate::error::{Result, ensure};
use crate::execution::Execution;

/// The longest address of a stream, bytes.
const MAX_URL: usize = 256;
/// The scheme of every stream's address.
const SCHEME: &str = "https://";

/// Checks what a node declares about its sessions.
pub(super) fn check_stream(role: Role, stream: Option<&Stream>) -> Result<()> {
    let Some(stream) = stream else {
        return Ok(());
    };
    ensure!(
        role == Role::Inference,
        code::INVALID_STREAM,
        "only inference nodes offer sessions"
    );
    let host = stream.url.strip_prefix(SCHEME).unwrap_or_default();
    let graphic = stream.url.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(
        !host.is_empty() && graphic && stream.url.len() <= MAX_URL,
        code::INVALID_STREAM,
        "the url of a stream begins with {SCHEME} and has at most {MAX_URL} visible ASCII characters, got {:?}",
        stream.url
    );
    ensure!(
        is_compressed_key(&stream.key),
        code::INVALID_STREAM,
        "the key of a stream must be a compressed secp256k1 key of 33 bytes"
    );
    ensure!(
        matches!(stream.tls_spki_sha256.len(), 0 | 32),
        code::INVALID_STREAM,
        "tls_spki_sha256 has 32 bytes or none, got {}",
        stream.tls_spki_sha256.len()
    );
    Ok(())
}

/// A node's weight in the draws of sessions: that of an active node, whatever room it has for duties.
pub(super) fn put_stream_weights(state: &mut State, node: &Node, weight: u128) -> Result<()> {
    if node.stream.is_none() {
        return Ok(());
    }
    for model in &node.models {
        keys::stream_index(model).set_weight(state, node.slot, weight)?;
    }
    Ok(())
}

/// Removes a node from the draws of sessions of a model.
pub(super) fn stop_streaming(state: &mut State, node: &Node, model: &str) -> Result<()> {
    keys::stream_index(model).set_weight(state, node.slot, 0)
}

/// Gives a node a session. Draws call this, so it does not change weights. The node stays within
/// reach until the session's end, even if it leaves.
pub fn begin_session(ctx: &mut Execution<'_>, operator: &str) -> Result<()> {
    let mut node = get(ctx.state, Role::Inference, operator)?;
    node.open_duties = node.open_duties.saturating_add(1);
    put(ctx.state, &node)
}

/// What a session says about its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Nothing: it was not used, or not settled.
    Silent,
    /// Its answers were judged, or there was nothing to judge.
    Paid {
        /// Base units.
        earned: u64,
        /// Mean part of its share that the drawn leaves deliver, ppm; none if nobody judged one.
        delivered: Option<u64>,
        /// Weight of that mean, ppm of a whole duty.
        weight: u64,
    },
    /// A drawn leaf was not revealed.
    Missed {
        /// The session.
        session: u64,
        /// Base units.
        earned: u64,
    },
}

/// Ends a session of a node.
pub fn end_session(ctx: &mut Execution<'_>, operator: &str, end: SessionEnd) -> Result<()> {
    let mut node = get(ctx.state, Role::Inference, operator)?;
    node.open_duties = node.open_duties.saturating_sub(1);
    match end {
        SessionEnd::Silent => {}
        SessionEnd::Paid {
            earned,
            delivered,
            weight,
        } => {
            node.duties_done = node.duties_done.saturating_add(1);
            node.earned = node.earned.saturating_add(earned);
            if let Some(delivered) = delivered {
                update_reputation(ctx, &mut node, delivered, weight);
            }
        }
        SessionEnd::Missed { session, earned } => {
            node.earned = node.earned.saturating_add(earned);
            let slash = ctx.block.params.slash_no_answer;
            let cause = (event::SESSION, session);
            punish_miss(ctx, &mut node, cause, slash, "no_leaf")?;
        }
    }
    match end {
        SessionEnd::Silent => put(ctx.state, &node),
        SessionEnd::Paid { .. } | SessionEnd::Missed { .. } => put_weighted(ctx, &mut node),
    }
}
