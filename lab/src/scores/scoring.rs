//! Scores many pairs as fast as the sessions allow.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

use poq_evaluator::scorer::{Batch, Encoded, Model, Row, Score, Window, in_lanes};

use crate::error::{Error, Result};

/// A prompt and an answer.
pub type Pair<'a> = (&'a str, &'a str);

/// The score of one pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scored {
    /// Millionths of a logit or of a cosine.
    pub raw: i32,
    /// Number of windows of the answer.
    pub windows: usize,
}

/// Scores by pair.
#[derive(Debug)]
pub struct Scores<'a>(BTreeMap<Pair<'a>, Scored>);

impl<'a> Scores<'a> {
    /// Scores all pairs of these data sets.
    pub fn new(
        model: &Model,
        pairs: &[Pair<'a>],
        batch_tokens: usize,
        bar: &ProgressBar,
    ) -> Result<Self> {
        let scored = score_all(model, pairs, batch_tokens, bar)?;
        Ok(Self(pairs.iter().copied().zip(scored).collect()))
    }

    /// The raw scores of `pairs`, in order.
    pub fn raw(&self, pairs: &[Pair]) -> Result<Vec<i32>> {
        let raw = |pair: &Pair| Some(self.0.get(pair)?.raw);
        pairs
            .iter()
            .map(|pair| raw(pair).ok_or(Error::LeftOut))
            .collect()
    }
}

/// The score of every pair, in order, from batches of at most `batch_tokens` tokens. Equal windows,
/// such as a prompt's for several answers, are computed once. `bar` counts windows.
pub fn score_all(
    model: &Model,
    pairs: &[Pair],
    batch_tokens: usize,
    bar: &ProgressBar,
) -> Result<Vec<Scored>> {
    let encoded: Vec<Encoded> = pairs
        .iter()
        .map(|(prompt, answer)| model.encode(prompt, answer))
        .collect::<std::result::Result<_, _>>()?;
    let mut windows: Vec<&Window> = encoded.iter().flat_map(|pair| &pair.windows).collect();
    windows.sort_unstable();
    windows.dedup();
    bar.set_length(windows.len() as u64);
    let rows = rows(model, &windows, batch_tokens, bar)?;
    let row = |window: &Window| {
        let place = windows.binary_search(&window);
        let place = place.map_err(|_| Error::LeftOut)?;
        Ok(rows[place].clone())
    };
    let score = |pair: &Encoded| {
        let of_pair: Vec<Row> = pair.windows.iter().map(row).collect::<Result<_>>()?;
        Ok(Scored {
            raw: Score::of(model.kind(), &of_pair)?.raw_score,
            windows: pair.answer_windows,
        })
    };
    encoded.iter().map(score).collect()
}

fn rows(
    model: &Model,
    windows: &[&Window],
    batch_tokens: usize,
    bar: &ProgressBar,
) -> Result<Vec<Row>> {
    let lengths: Vec<(usize, usize)> = windows.iter().map(|window| (0, window.ids.len())).collect();
    let batches = Batch::plan(&lengths, 1, batch_tokens);
    let rows = Mutex::new(vec![None; windows.len()]);
    let failure = Mutex::new(None);
    in_lanes(batches, model.sessions(), |session, batch| {
        let lock = || failure.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().is_some() {
            return;
        }
        let of_batch: Vec<&Window> = batch.windows.iter().map(|at| windows[*at]).collect();
        match model.rows(session, &of_batch) {
            Ok(scored) => {
                let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                for (at, row) in batch.windows.iter().zip(scored) {
                    rows[*at] = Some(row);
                }
                bar.inc(batch.windows.len() as u64);
            }
            Err(error) => *lock() = Some(error),
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.into_iter()
        .collect::<Option<_>>()
        .ok_or(Error::LeftOut)
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::EvaluatorModel;

    use super::*;
    use crate::scores::testing::{BI_ENCODER, CROSS_ENCODER, find, open};
    use crate::scores::tolerance::built_in;

    #[test]
    fn what_is_capped_has_no_windows() {
        let (mut entry, files) = find(BI_ENCODER);
        entry.caps_junk = true;
        let model = open((entry, files));
        let pairs = [("Why is the sky blue?", ""), ("Why?", "It scatters light.")];
        let bar = ProgressBar::hidden();
        let scored = score_all(&model, &pairs, 700, &bar).unwrap();
        let capped = Scored {
            raw: i32::MIN,
            windows: 0,
        };
        assert_eq!((scored[0], scored[1].windows), (capped, 1));
        assert!(scored[1].raw > 0);
        assert_eq!(score_all(&model, &pairs[..1], 700, &bar).unwrap(), [capped]);
    }

    #[test]
    fn many_pairs_score_as_each_by_itself() {
        let (entry, files) = find(CROSS_ENCODER);
        let windowed = EvaluatorModel {
            max_tokens: 40,
            max_windows: 3,
            ..entry
        };
        for model in [find(CROSS_ENCODER), (windowed, files), find(BI_ENCODER)].map(open) {
            let owned = built_in(24).unwrap();
            let mut pairs: Vec<Pair> = owned
                .iter()
                .map(|pair| (pair.prompt.as_str(), pair.answer.as_str()))
                .collect();
            pairs.push(pairs[0]);
            let bar = ProgressBar::hidden();
            let scored = score_all(&model, &pairs, 700, &bar).unwrap();
            assert_eq!(scored.len(), pairs.len());
            assert_eq!(scored.first(), scored.last());
            for ((prompt, answer), scored) in pairs.iter().zip(scored) {
                let pair = model.encode(prompt, answer).unwrap();
                let alone = model.score(&pair).unwrap().raw_score;
                assert!((alone - scored.raw).abs() <= 10, "{prompt} {answer}");
            }
        }
    }
}
