//! The comparison of a committee's scores with the reference scores: pure arithmetic.

use std::collections::BTreeMap;

use poq_proto::calibrate;
use poq_proto::v1::{Committee, EvaluatorModel, ReferenceScore, Reveal, Seat};

use crate::modules::tasks::reveals::map_reveals;

/// The reference scores of an audit in ascending order of model ids, without models that have no
/// score.
pub fn references(
    models: &BTreeMap<String, EvaluatorModel>,
    scores: &BTreeMap<String, Option<i32>>,
) -> Vec<ReferenceScore> {
    models
        .values()
        .filter_map(|model| {
            let raw_score = scores.get(&model.id).copied().flatten()?;
            Some(ReferenceScore {
                evaluator_model: model.id.clone(),
                raw_score,
                quality: calibrate(&model.calibration, raw_score),
            })
        })
        .collect()
}

/// Whether a seat revealed a score that is further from its model's reference than the model's
/// `audit_tolerance`. Without a reference score no seat is wrong.
pub fn is_wrong(
    seat: &Seat,
    references: &[ReferenceScore],
    models: &BTreeMap<String, EvaluatorModel>,
) -> bool {
    let tolerance = models
        .get(&seat.evaluator_model)
        .map_or(u32::MAX, |model| model.audit_tolerance);
    match (seat.reveal, reference(seat, references)) {
        (Some(reveal), Some(reference)) => {
            reveal.raw_score.abs_diff(reference.raw_score) > tolerance
        }
        _ => false,
    }
}

/// The committee with the reference qualities in place of the revealed ones, from which the true
/// quality is aggregated.
pub fn with_references(committee: &Committee, references: &[ReferenceScore]) -> Committee {
    map_reveals(committee, |seat, reveal| {
        let quality = reference(seat, references).map_or(reveal.quality, |found| found.quality);
        Some(Reveal { quality, ..reveal })
    })
}

fn reference<'r>(seat: &Seat, references: &'r [ReferenceScore]) -> Option<&'r ReferenceScore> {
    let mut references = references.iter();
    references.find(|found| found.evaluator_model == seat.evaluator_model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str, audit_tolerance: u32) -> (String, EvaluatorModel) {
        let model = EvaluatorModel {
            id: id.into(),
            audit_tolerance,
            ..EvaluatorModel::default()
        };
        (id.into(), model)
    }

    fn seat(evaluator_model: &str, raw_score: Option<i32>) -> Seat {
        Seat {
            evaluator_model: evaluator_model.into(),
            reveal: raw_score.map(|raw_score| Reveal {
                raw_score,
                ..Reveal::default()
            }),
            ..Seat::default()
        }
    }

    /// Whether a seat is wrong, given its model's reference score and a tolerance of 10.
    fn wrong(reference: Option<i32>, revealed: Option<i32>) -> bool {
        let models = BTreeMap::from([model("a", 10), model("b", 0)]);
        let scores = BTreeMap::from([("a".to_owned(), reference), ("b".to_owned(), Some(0))]);
        is_wrong(&seat("a", revealed), &references(&models, &scores), &models)
    }

    #[test]
    fn a_seat_is_wrong_beyond_the_tolerance_of_its_own_model() {
        assert!(!wrong(Some(0), Some(10)) && !wrong(Some(0), Some(-10)));
        assert!(wrong(Some(0), Some(11)) && wrong(Some(0), Some(-11)));
        assert!(wrong(Some(i32::MIN), Some(i32::MAX)));
        assert!(!wrong(Some(5), None));
    }

    #[test]
    fn without_a_reference_score_nobody_is_wrong() {
        assert!(!wrong(None, Some(i32::MAX)));
        let committee = Committee {
            seats: vec![seat("a", Some(7))],
            ..Committee::default()
        };
        assert_eq!(with_references(&committee, &[]), committee);
    }
}
