//! Committees with changed or removed reveals.

use poq_proto::v1::{AuditResult, Committee, Reveal, Seat};

/// The committee without the reveals of evaluators that an audit punished: the seats that are paid.
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

/// The committee with its reveals mapped; `None` removes one.
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
