//! The kinds of evaluator models: what each one makes of a pair's windows.

use poq_proto::v1::{EvaluatorKind, EvaluatorModel};
use poq_reference_evaluator::LEAST;

use super::{Error, mean, micro_logits};

/// What the model computed of one window: a single logit, or an embedding.
pub type Row = Vec<f32>;

/// What a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads prompt and answer together and gives a logit.
    CrossEncoder,
    /// Reads prompt and answer each by itself; the score is the cosine of their embeddings.
    BiEncoder,
}

/// The score of one pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// A logit or a cosine, as the model computed it; of several windows, the raw score as a
    /// float. For people and programs off the chain.
    pub value: f32,
    /// Millionths of it: micro-logits, or millionths of a cosine.
    pub raw_score: i32,
}

impl Score {
    /// Of a pair that is capped.
    const LEAST: Self = Self {
        value: LEAST as f32 / 1e6,
        raw_score: LEAST,
    };
}

impl Kind {
    /// The kind of a registry entry, if this program can run it.
    pub fn of(model: &EvaluatorModel) -> Result<Self, Error> {
        match model.kind() {
            EvaluatorKind::CrossEncoder => Ok(Self::CrossEncoder),
            EvaluatorKind::BiEncoder => Ok(Self::BiEncoder),
            EvaluatorKind::Unspecified => Err(Error::Kind {
                model: model.id.clone(),
                kind: model.kind,
            }),
        }
    }

    /// Name of the ONNX graph's output.
    pub fn output(self) -> &'static str {
        match self {
            Self::CrossEncoder => "logits",
            Self::BiEncoder => "last_hidden_state",
        }
    }

    /// What its values are called.
    pub fn value_name(self) -> &'static str {
        match self {
            Self::CrossEncoder => "logit",
            Self::BiEncoder => "cosine",
        }
    }

    /// The score of a pair from the rows of all of its windows, in the order of
    /// [`super::Encoded::windows`]. Only a pair that is capped has none.
    pub fn score(self, rows: &[Row]) -> Result<Score, Error> {
        if rows.is_empty() {
            return Ok(Score::LEAST);
        }
        let values = match self {
            Self::CrossEncoder => rows.iter().map(|row| single(row)).collect(),
            Self::BiEncoder => cosines(rows),
        };
        let scores: Vec<i32> = values
            .iter()
            .map(|value| micro_logits(*value))
            .collect::<Result<_, _>>()?;
        let raw_score = mean(&scores);
        let value = match *values {
            [value] => value,
            _ => (f64::from(raw_score) / 1e6) as f32,
        };
        Ok(Score { value, raw_score })
    }
}

fn single(row: &[f32]) -> f32 {
    row.first().copied().unwrap_or(f32::NAN)
}

/// Of the first row, which is the prompt's, with each of the others.
fn cosines(rows: &[Row]) -> Vec<f32> {
    let Some((prompt, answer)) = rows.split_first() else {
        return Vec::new();
    };
    // That of audits, so that only the rows may differ from theirs.
    let cosine = |window: &Row| poq_reference_evaluator::cosine(prompt, window).unwrap_or(f32::NAN);
    answer.iter().map(cosine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_window_scores_as_its_logit() {
        let score = Kind::CrossEncoder.score(&[vec![-11.187_496]]).unwrap();
        assert_eq!((score.value, score.raw_score), (-11.187_496, -11_187_496));
    }

    #[test]
    fn windows_score_as_the_mean_of_their_micro_logits() {
        let score = |rows: &[Row]| Kind::CrossEncoder.score(rows);
        let two = score(&[vec![2.0], vec![-1.000_001]]).unwrap();
        assert_eq!((two.value, two.raw_score), (0.5, 500_000));
        let broken = score(&[vec![1.0], vec![f32::NAN]]);
        assert!(matches!(broken, Err(Error::NotANumber)));
        assert!(matches!(score(&[vec![]]), Err(Error::NotANumber)));
    }

    #[test]
    fn embeddings_score_as_their_cosine_with_the_prompt() {
        let score = |rows: &[Row]| Kind::BiEncoder.score(rows);
        let one = score(&[vec![3.0, 4.0], vec![30.0, 0.0]]).unwrap();
        assert_eq!((one.value, one.raw_score), (0.6, 600_000));
        let two = score(&[vec![0.0, 2.0], vec![0.0, 5.0], vec![0.0, -0.5]]).unwrap();
        assert_eq!((two.value, two.raw_score), (0.0, 0));
        // Nothing has no direction.
        let zero = score(&[vec![0.0, 0.0], vec![1.0, 0.0]]);
        assert!(matches!(zero, Err(Error::NotANumber)));
    }

    #[test]
    fn a_pair_without_windows_has_the_least_score() {
        for kind in [Kind::CrossEncoder, Kind::BiEncoder] {
            let score = kind.score(&[]).unwrap();
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
        let error = Kind::of(&model).unwrap_err().to_string();
        assert!(error.contains("odd has kind 7"), "{error}");
    }
}
