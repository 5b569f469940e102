//! The lottery: the beacon draws settled tasks for an audit.

use poq_proto::PPM;
use poq_proto::v1::{Audit, AuditCause, Params, TaskStatus};
use poq_store::State;

use super::{keys, schedule};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::tasks::{self, Settled};
use crate::selection::RandomStream;

/// The unit of [`draw_probability`]: billionths.
const PARTS: u64 = 1_000_000_000;

/// The number of blocks whose beacons draw for a task's audit, one after the other: the length of
/// the window, at most four. A proposer of one of them knows its beacon and may choose among
/// several (`crate::modules::beacon`), which avoids only that part of the risk.
fn draws(params: &Params) -> u64 {
    match params.audit_window {
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 4,
    }
}

/// The probability of each of `draws` independent draws, in billionths, such that at least one hits
/// with `probability` (ppm): `1 − (1 − p)^(1/draws)`, rounded up, by integer square roots.
fn draw_probability(probability: u32, draws: u64) -> u64 {
    let missed = PPM
        .saturating_sub(probability.into())
        .saturating_mul(PARTS / PPM);
    let root = |part: u64| part.saturating_mul(PARTS).isqrt();
    let missed_once = match draws {
        1 => missed,
        2 => root(missed),
        _ => root(root(missed)),
    };
    PARTS.saturating_sub(missed_once)
}

/// An entry of the lottery: its key, the task, and its value.
type Due = (Vec<u8>, u64, Vec<u8>);

/// The value of an entry. With it a task that is not drawn need not be read.
struct Entry {
    /// The probability of each draw, billionths.
    threshold: u64,
    /// The height of the last draw.
    last: u64,
}

impl Entry {
    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.threshold.to_be_bytes());
        bytes[8..].copy_from_slice(&self.last.to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let half = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        let halves = bytes.split_at_checked(8);
        let halves = halves.and_then(|(threshold, last)| Some((half(threshold)?, half(last)?)));
        let (threshold, last) =
            halves.ok_or_else(|| Error::broken("an entry of the lottery is corrupt"))?;
        Ok(Self { threshold, last })
    }
}

/// Enters the tasks that this block settled into the lottery of the next blocks.
pub fn enter(ctx: &mut Execution<'_>, settled: &[Settled]) -> Result<()> {
    let draws = draws(&ctx.block.params);
    let next = ctx.block.height.saturating_add(1);
    for settled in settled {
        let entry = Entry {
            threshold: draw_probability(settled.audit_probability, draws),
            last: ctx.block.height.saturating_add(draws),
        };
        ctx.state
            .put(keys::lottery(next, settled.task), entry.bytes())?;
    }
    Ok(())
}

/// Draws among the tasks that the last blocks settled. It runs before the transactions of this
/// block: a liar whose proposer knows the beacon must not be the first to challenge itself.
pub fn draw_due(ctx: &mut Execution<'_>) -> Result<()> {
    for (key, id, entry) in due(ctx.state, ctx.block.height)? {
        match ctx.attempt(|ctx| draw(ctx, &key, id, &entry)) {
            Err(error) if error.is_deterministic() => {
                tracing::error!(task = id, log = %error, "the audit lottery of a task failed");
                ctx.state.delete(&key)?;
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

/// The due entries. `max_transitions_per_block` bounds those of each block.
fn due(state: &State, now: u64) -> Result<Vec<Due>> {
    let mut due = Vec::new();
    for (key, entry) in state.scan(keys::LOTTERY, None, usize::MAX)? {
        let (height, id) = tasks::parse_queued(keys::LOTTERY, &key)?;
        if height > now {
            break;
        }
        due.push((key, id, entry));
    }
    Ok(due)
}

/// Makes one draw. The entry stays unchanged until the last draw: rewriting it would cost more.
fn draw(ctx: &mut Execution<'_>, key: &[u8], id: u64, entry: &[u8]) -> Result<()> {
    let entry = Entry::parse(entry)?;
    let is_drawn = is_drawn(&ctx.block.beacon, id, entry.threshold);
    if is_drawn || ctx.block.height >= entry.last {
        ctx.state.delete(key)?;
    }
    if !is_drawn {
        return Ok(());
    }
    let mut task = tasks::get(ctx.state, id)?;
    // The task may have been challenged meanwhile.
    if task.status() != TaskStatus::Settled || task.audit.is_some() {
        return Ok(());
    }
    let audit = Audit {
        cause: AuditCause::Drawn.into(),
        ..Audit::default()
    };
    schedule::schedule(ctx, &mut task, audit)
}

/// Whether a beacon draws a task; `threshold` is the probability in billionths.
fn is_drawn(beacon: &[u8; 32], task: u64, threshold: u64) -> bool {
    RandomStream::of_audit(beacon, task).below(PARTS.into()) < threshold.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_together_hit_as_often_as_one() {
        assert_eq!(draw_probability(480_000, 1), 480_000_000);
        // 1 − √0.52 and 1 − ⁴√0.52.
        assert_eq!(draw_probability(480_000, 2), 278_889_745);
        assert_eq!(draw_probability(480_000, 4), 150_817_891);
        assert_eq!(draw_probability(1, 4), 251);
        for draws in [1, 2, 4] {
            assert_eq!(draw_probability(0, draws), 0);
            assert_eq!(draw_probability(1_000_000, draws), PARTS);
        }
    }

    #[test]
    fn beacons_pick_as_often_as_they_should() {
        let drawn = |probability: u32, draws: u64| {
            let threshold = draw_probability(probability, draws);
            let picked = |id: &u64| {
                let mut beacons = (0..draws).map(|draw| [draw as u8; 32]);
                beacons.any(|beacon| is_drawn(&beacon, *id, threshold))
            };
            (0..20_000).filter(picked).count()
        };
        for draws in [1, 2, 4] {
            assert_eq!((drawn(0, draws), drawn(1_000_000, draws)), (0, 20_000));
            // Five standard deviations of 2,000 ± 42.
            assert!((1_790..=2_210).contains(&drawn(100_000, draws)));
        }
    }

    /// A proposer that may choose among several beacons of one block avoids only a part of the
    /// risk.
    #[test]
    fn who_chooses_one_of_four_beacons_cannot_evade_an_audit() {
        let evaded = |choices: i32, draws: u64| {
            let once = draw_probability(480_000, draws) as f64 / PARTS as f64;
            (1.0 - once).powi(draws as i32 - 1) * (1.0 - once.powi(choices))
        };
        // With 5 beacons, of 4 validators, 97 % of the lies would escape a single draw.
        assert!(evaded(5, 1) > 0.97);
        assert!(evaded(5, 4) < 0.62 && evaded(1_000, 4) < 0.62);
    }
}
