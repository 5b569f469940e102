//! Computes a pair's score from the model's outputs for its windows.

use poq_proto::v1::{EvaluatorKind, EvaluatorModel};
use poq_reference_evaluator::{Kind, LEAST, cosine, mean, millionths};

use super::Error;

/// The model's output for one window: a single logit, or an embedding.
pub type Row = Vec<f32>;

/// The score of one pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// A logit or a cosine as the model computed it; for several windows, the raw score as a float.
    /// For people and programs off the chain.
    pub value: f32,
    /// In millionths: micro-logits, or millionths of a cosine.
    pub raw_score: i32,
}

impl Score {
    /// The score of a capped pair.
    const LEAST: Self = Self {
        value: LEAST as f32 / 1e6,
        raw_score: LEAST,
    };
}

impl Score {
    /// The score of a pair from the rows of all its windows, in the order of
    /// [`super::Encoded::windows`]. Only a capped pair has none.
    pub fn of(kind: Kind, rows: &[Row]) -> Result<Self, Error> {
        if rows.is_empty() {
            return Ok(Self::LEAST);
        }
        let values = match kind {
            Kind::CrossEncoder => rows.iter().map(|row| single(row)).collect(),
            Kind::BiEncoder => cosines(rows),
        };
        if values.iter().any(|value| value.is_nan()) {
            return Err(Error::NotANumber);
        }
        let scores: Vec<i32> = values.iter().copied().map(millionths).collect();
        let raw_score = mean(&scores);
        let value = match *values {
            [value] => value,
            _ => (f64::from(raw_score) / 1e6) as f32,
        };
        Ok(Self { value, raw_score })
    }
}

/// The kind of a registry entry, if this program supports it.
pub fn kind(model: &EvaluatorModel) -> Result<Kind, Error> {
    match model.kind() {
        EvaluatorKind::CrossEncoder => Ok(Kind::CrossEncoder),
        EvaluatorKind::BiEncoder => Ok(Kind::BiEncoder),
        EvaluatorKind::Unspecified => Err(Error::Kind {
            model: model.id.clone(),
            kind: model.kind,
        }),
    }
}

fn single(row: &[f32]) -> f32 {
    row.first().copied().unwrap_or(f32::NAN)
}

/// Cosines of the first row, which is the prompt's, with each of the others.
fn cosines(rows: &[Row]) -> Vec<f32> {
    let Some((prompt, answer)) = rows.split_first() else {
        return Vec::new();
    };
    let value = |window: &Row| cosine(prompt, window).unwrap_or(f32::NAN);
    answer.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_window_scores_as_its_logit() {
        let score = Score::of(Kind::CrossEncoder, &[vec![-11.187_496]]).unwrap();
        assert_eq!((score.value, score.raw_score), (-11.187_496, -11_187_496));
    }

    #[test]
    fn windows_score_as_the_mean_of_their_micro_logits() {
        let score = |rows: &[Row]| Score::of(Kind::CrossEncoder, rows);
        let two = score(&[vec![2.0], vec![-1.000_001]]).unwrap();
        assert_eq!((two.value, two.raw_score), (0.5, 500_000));
        let broken = score(&[vec![1.0], vec![f32::NAN]]);
        assert!(matches!(broken, Err(Error::NotANumber)));
        assert!(matches!(score(&[vec![]]), Err(Error::NotANumber)));
    }

    #[test]
    fn embeddings_score_as_their_cosine_with_the_prompt() {
        let score = |rows: &[Row]| Score::of(Kind::BiEncoder, rows);
        let one = score(&[vec![3.0, 4.0], vec![30.0, 0.0]]).unwrap();
        assert_eq!((one.value, one.raw_score), (0.6, 600_000));
        let two = score(&[vec![0.0, 2.0], vec![0.0, 5.0], vec![0.0, -0.5]]).unwrap();
        assert_eq!((two.value, two.raw_score), (0.0, 0));
        // A zero vector has no direction.
        let zero = score(&[vec![0.0, 0.0], vec![1.0, 0.0]]);
        assert!(matches!(zero, Err(Error::NotANumber)));
    }

    #[test]
    fn a_pair_without_windows_has_the_least_score() {
        for kind in [Kind::CrossEncoder, Kind::BiEncoder] {
            let score = Score::of(kind, &[]).unwrap();
            assert_eq!((score.value, score.raw_score), (-2_147.483_6, i32::MIN));
        }
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        let model = EvaluatorModel {
            id: "odd".into(),
            kind: 7,
            ..EvaluatorModel::default()
        };
        let error = kind(&model).unwrap_err().to_string();
        assert!(error.contains("odd has kind 7"), "{error}");
    }
}
