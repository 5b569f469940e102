use std::collections::BTreeSet;

use poq_proto::v1::{EvaluatorKind, EvaluatorModel, Model};
use poq_proto::{PPM, code};

use super::validate_id;
use crate::error::{Result, ensure};

/// The most windows in which a long answer is read: a bound on the work of one score.
const MAX_WINDOWS: u32 = 64;
/// The longest name of a licence, bytes.
const MAX_LICENCE_BYTES: usize = 64;

/// Checks a language model's registry entry by itself.
pub(super) fn model(model: &Model) -> Result<()> {
    validate_id(&model.id)?;
    validate_id(&model.architecture)?;
    digest(&model.id, "weights_sha256", &model.weights_sha256)?;
    ensure!(
        model.context_tokens > 0,
        code::INVALID_REQUEST,
        "model {}: context_tokens must be positive",
        model.id
    );
    ensure!(
        model.quality_floor < model.quality_target && u64::from(model.quality_target) <= PPM,
        code::INVALID_REQUEST,
        "model {}: need quality_floor < quality_target <= {PPM}, got {} and {}",
        model.id,
        model.quality_floor,
        model.quality_target
    );
    let ids: BTreeSet<_> = model
        .evaluator_models
        .iter()
        .map(|entry| &entry.id)
        .collect();
    ensure!(
        (1..=16).contains(&ids.len()) && ids.len() == model.evaluator_models.len(),
        code::INVALID_REQUEST,
        "model {}: needs 1 to 16 different evaluator models",
        model.id
    );
    for entry in &model.evaluator_models {
        ensure!(
            (1..=1000).contains(&entry.weight),
            code::INVALID_REQUEST,
            "model {}: weight of {} must be in 1..=1000, got {}",
            model.id,
            entry.id,
            entry.weight
        );
    }
    Ok(())
}

/// Checks an evaluator model's registry entry.
pub(super) fn evaluator_model(model: &EvaluatorModel) -> Result<()> {
    validate_id(&model.id)?;
    ensure!(
        model.kind() != EvaluatorKind::Unspecified,
        code::INVALID_REQUEST,
        "evaluator model {}: kind {} is unknown",
        model.id,
        model.kind
    );
    digest(&model.id, "weights_sha256", &model.weights_sha256)?;
    digest(&model.id, "tokenizer_sha256", &model.tokenizer_sha256)?;
    ensure!(
        (8..=8192).contains(&model.max_tokens),
        code::INVALID_REQUEST,
        "evaluator model {}: max_tokens must be in 8..=8192, got {}",
        model.id,
        model.max_tokens
    );
    ensure!(
        model.max_windows <= MAX_WINDOWS,
        code::INVALID_REQUEST,
        "evaluator model {}: max_windows must be at most {MAX_WINDOWS}, got {}",
        model.id,
        model.max_windows
    );
    ensure!(
        model.licence.len() <= MAX_LICENCE_BYTES,
        code::INVALID_REQUEST,
        "evaluator model {}: licence must have at most {MAX_LICENCE_BYTES} bytes, got {}",
        model.id,
        model.licence.len()
    );
    let points = &model.calibration;
    ensure!(
        (2..=256).contains(&points.len())
            && points.is_sorted_by(|a, b| a.raw_score < b.raw_score && a.quality <= b.quality)
            && points.iter().all(|point| u64::from(point.quality) <= PPM),
        code::INVALID_REQUEST,
        "evaluator model {}: calibration needs 2 to 256 points, raw_score rising, quality not falling and at most {PPM}",
        model.id
    );
    Ok(())
}

fn digest(id: &str, field: &str, digest: &str) -> Result<()> {
    let valid = digest.len() == 64
        && digest
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    ensure!(
        valid,
        code::INVALID_REQUEST,
        "model {id}: {field} must be 64 lower-case hex digits"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::CalibrationPoint;

    use super::*;

    fn entry(kind: i32) -> EvaluatorModel {
        let point = |raw_score, quality| CalibrationPoint { raw_score, quality };
        EvaluatorModel {
            id: "scorer".into(),
            kind,
            weights_sha256: "0".repeat(64),
            tokenizer_sha256: "1".repeat(64),
            max_tokens: 512,
            calibration: vec![point(0, 0), point(1, 1)],
            ..EvaluatorModel::default()
        }
    }

    #[test]
    fn every_kind_that_has_a_meaning_can_be_registered() {
        for kind in [EvaluatorKind::CrossEncoder, EvaluatorKind::BiEncoder] {
            evaluator_model(&entry(kind.into())).unwrap();
        }
        for kind in [0, 3, -1] {
            let error = evaluator_model(&entry(kind)).unwrap_err().to_string();
            assert!(
                error.contains(&format!("kind {kind} is unknown")),
                "{error}"
            );
        }
    }
}
