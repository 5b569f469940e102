//! Which settled tasks the beacon picks for an audit.

use poq_proto::PPM;
use poq_proto::v1::{Audit, AuditCause, Committee, Params, Seat, Task, TaskStatus};

use super::{keys, schedule};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::tasks;
use crate::selection::RandomStream;
use crate::store::State;

/// Probability, ppm, that a task with this price and committee is audited:
/// `clamp(audit_margin · P / (slash_audit · W/2), min_audit_rate, 1)`, rounded up, with W the
/// weight of the seats that revealed. Who moves the weighted median holds half of it, and gains at
/// most P. Silent seats do not count: they lose nothing by an audit.
pub fn probability(params: &Params, price: u64, committee: &Committee) -> u32 {
    let revealed = committee.seats.iter().filter(|seat| seat.reveal.is_some());
    let needed = needed_audits(params, price, revealed).unwrap_or(PPM.into());
    u32::try_from(needed.min(PPM.into()))
        .unwrap_or(u32::MAX)
        .max(params.min_audit_rate)
}

/// What a task adds to the audits that its seats have to expect, ppm of one audit: the same without
/// the limits, for a whole committee, rounded up.
pub fn expected(params: &Params, price: u64, seats: &[Seat]) -> u64 {
    let needed = needed_audits(params, price, seats.iter()).unwrap_or(u128::MAX);
    u64::try_from(needed).unwrap_or(u64::MAX)
}

/// `audit_margin · P / (slash_audit · W/2)`, ppm, rounded up; none for seats without weight.
fn needed_audits<'s>(
    params: &Params,
    price: u64,
    seats: impl Iterator<Item = &'s Seat>,
) -> Option<u128> {
    let weight: u128 = seats.map(|seat| u128::from(seat.weight)).sum();
    // Below 2 · 2^32 · 2^64 · 2^20; margin and slash are both in ppm, so their units cancel out.
    let gain = 2 * u128::from(params.audit_margin) * u128::from(price) * u128::from(PPM);
    let loss = u128::from(params.slash_audit) * weight;
    (loss > 0).then(|| gain.div_ceil(loss))
}

/// Enters a task that this block settles: the next block's beacon decides.
pub fn enter(x: &mut Execution<'_>, id: u64) -> Result<()> {
    let next = x.block.height.saturating_add(1);
    Ok(x.state.mark(keys::lottery(next, id))?)
}

/// Decides on the tasks that the last block settled. It comes before the transactions of this
/// block: a liar whose proposer knows the beacon must not be the first to challenge itself.
pub fn draw_due(x: &mut Execution<'_>) -> Result<()> {
    for (key, id) in due(x.state, x.block.height)? {
        x.state.delete(&key)?;
        match x.attempt(|x| draw(x, id)) {
            Err(Error::Rejected { log, .. }) => {
                tracing::error!(task = id, log, "the audit of a task cannot be decided");
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

/// As many as one block settled, which `max_transitions_per_block` bounds.
fn due(state: &State, now: u64) -> Result<Vec<(Vec<u8>, u64)>> {
    let mut due = Vec::new();
    for (key, _) in state.scan(keys::LOTTERY, None, usize::MAX)? {
        let (height, id) = tasks::parse_queued(keys::LOTTERY, &key)?;
        if height > now {
            break;
        }
        due.push((key, id));
    }
    Ok(due)
}

fn draw(x: &mut Execution<'_>, id: u64) -> Result<()> {
    let mut task = tasks::get(x.state, id)?;
    if task.status() != TaskStatus::Settled || !is_drawn(&x.block.beacon, &task) {
        return Ok(());
    }
    let audit = Audit {
        cause: AuditCause::Drawn.into(),
        ..Audit::default()
    };
    schedule::schedule(x, &mut task, audit)
}

/// Whether a beacon picks a settled task.
fn is_drawn(beacon: &[u8; 32], task: &Task) -> bool {
    let probability = task
        .settlement
        .as_ref()
        .map_or(0, |settlement| settlement.audit_probability);
    let number = RandomStream::of_audit(beacon, task.id).below(PPM.into());
    number < probability.into()
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{Reveal, Seat, Settlement};

    use super::*;
    use crate::modules::params::default_params;

    fn committee(weights: &[u64]) -> Committee {
        let seat = |weight: &u64| Seat {
            weight: *weight,
            reveal: Some(Reveal::default()),
            ..Seat::default()
        };
        Committee {
            seats: weights.iter().map(seat).collect(),
            ..Committee::default()
        }
    }

    #[test]
    fn the_probability_follows_what_a_liar_could_gain() {
        let params = Params {
            min_audit_rate: 100,
            ..default_params()
        };
        let seats = committee(&[100_000_000; 5]);
        let of = |price| probability(&params, price, &seats);
        // 1.5 · P / (0.1 · 250 million), rounded up.
        assert_eq!(of(1_540), 100);
        assert_eq!(of(5_000_000), 300_000);
        assert_eq!(of(5_000_001), 300_001);
        assert_eq!(of(16_666_666), 1_000_000);
        assert_eq!(of(u64::MAX), 1_000_000);
        assert_eq!(probability(&params, 1, &committee(&[])), 1_000_000);
        let many = committee(&[u64::MAX; 64]);
        assert_eq!(probability(&params, u64::MAX, &many), 468_750);
    }

    /// One heavy seat misses its window: the four that are left have little to lose.
    #[test]
    fn silent_seats_are_no_security() {
        let params = default_params();
        let mut seats = committee(&[
            10_000_000_000,
            100_000_000,
            100_000_000,
            100_000_000,
            100_000_000,
        ]);
        assert_eq!(probability(&params, 16_670_000, &seats), 48_087);
        seats.seats[0].reveal = None;
        assert_eq!(probability(&params, 16_670_000, &seats), 1_000_000);
    }

    #[test]
    fn beacons_pick_as_often_as_they_should() {
        let task = |id, audit_probability| Task {
            id,
            settlement: Some(Settlement {
                audit_probability,
                ..Settlement::default()
            }),
            ..Task::default()
        };
        let drawn = |probability| {
            let ids = 0..20_000;
            ids.filter(|id| is_drawn(&[7; 32], &task(*id, probability)))
                .count()
        };
        assert_eq!((drawn(0), drawn(1_000_000)), (0, 20_000));
        // Five standard deviations of 2,000 ± 42.
        assert!((1_790..=2_210).contains(&drawn(100_000)));
    }
}
