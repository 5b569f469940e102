//! Committees as if some of their seats had revealed something else, or nothing.

use poq_proto::v1::{AuditResult, Committee, Reveal, Seat};

/// The committee without the reveals of those that an audit punished: what is paid for.
pub fn without_punished(committee: &Committee, result: &AuditResult) -> Committee {
    map_reveals(committee, |seat, reveal| {
        (!is_punished(result, &seat.operator)).then_some(reveal)
    })
}

/// Whether an audit punished the evaluator.
pub fn is_punished(result: &AuditResult, operator: &str) -> bool {
    let mut penalties = result.penalties.iter();
    penalties.any(|penalty| penalty.operator == operator)
}

/// The committee with other reveals; a seat may lose its own.
pub fn map_reveals(
    committee: &Committee,
    change: impl Fn(&Seat, Reveal) -> Option<Reveal>,
) -> Committee {
    let mut changed = committee.clone();
    for seat in &mut changed.seats {
        seat.reveal = seat.reveal.and_then(|reveal| change(seat, reveal));
    }
    changed
}
