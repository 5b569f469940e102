//! Scores of the same pairs by the reference evaluator and by ONNX Runtime in several settings.

use indicatif::ProgressBar;
use poq_proto::v1::EvaluatorModel;

use super::{Differences, OwnedPair};
use crate::error::{Error, Result};
use poq_evaluator::scorer::{
    Encoded, Kind, ModelFiles, OrtScorer, PairTokenizer, ReferenceScorer, Row, Score, Scorer,
    Window, kind,
};

/// Windows in one padded batch.
const BATCH: usize = 8;

/// All comparisons.
pub struct Compared {
    /// ONNX Runtime in each setting, compared with the reference evaluator.
    pub reference: Vec<Differences>,
    /// ONNX Runtime's other settings, compared with its usual ones.
    pub settings: Vec<Differences>,
    /// Number of windows of all pairs.
    pub windows: usize,
    /// Number of their tokens.
    pub tokens: usize,
}

/// A setting of ONNX Runtime.
#[derive(Clone, Copy)]
struct Setting {
    name: &'static str,
    threads: usize,
    is_optimized: bool,
    batch: usize,
}

/// The setting of `start` for a single pair.
const USUAL: Setting = Setting {
    name: "ONNX Runtime",
    threads: 1,
    is_optimized: true,
    batch: 1,
};
const OTHERS: [Setting; 3] = [
    Setting {
        name: "without optimizations",
        is_optimized: false,
        ..USUAL
    },
    Setting {
        name: "two threads",
        threads: 2,
        ..USUAL
    },
    Setting {
        name: "padded batches of 8",
        batch: BATCH,
        ..USUAL
    },
];

/// Compares all pairs, and ONNX Runtime's other settings on every `every`-th of them. `bar` counts
/// scores.
pub fn compare(
    entry: &EvaluatorModel,
    files: &ModelFiles,
    pairs: &[OwnedPair],
    every: usize,
    bar: &ProgressBar,
) -> Result<Compared> {
    let kind = kind(entry)?;
    let tokenizer = PairTokenizer::open(&files.tokenizer, entry)?;
    let encode = |pair: &OwnedPair| tokenizer.encode(&pair.prompt, &pair.answer);
    let all: Vec<Encoded> = pairs
        .iter()
        .map(encode)
        .collect::<std::result::Result<_, _>>()?;
    let some: Vec<Encoded> = all.iter().step_by(every).cloned().collect();
    bar.set_length((2 * all.len() + OTHERS.len() * some.len()) as u64);

    let mut scorer = ReferenceScorer::open(entry, kind, &files.weights, 1)?;
    let exact = scores(&mut scorer, kind, &all, 1, bar)?;
    drop(scorer);
    // Its digest matches the registry, since the reference evaluator has just read it.
    let weights = std::fs::read(&files.weights).map_err(|source| Error::Read {
        path: files.weights.clone(),
        source,
    })?;
    let run = |setting: Setting, pairs: &[Encoded]| -> Result<Vec<i32>> {
        let open = match setting.is_optimized {
            true => OrtScorer::new,
            false => OrtScorer::without_optimization,
        };
        let mut scorer = open(&files.library, &weights, kind, setting.threads)?;
        scores(&mut scorer, kind, pairs, setting.batch, bar)
    };
    let usual = run(USUAL, &all)?;
    let every_of = |scores: &[i32]| -> Vec<i32> { scores.iter().step_by(every).copied().collect() };
    let mut compared = Compared {
        reference: vec![Differences::new(USUAL.name, &exact, &usual)],
        settings: Vec::new(),
        windows: all.iter().map(|pair| pair.windows.len()).sum(),
        tokens: all.iter().map(Encoded::tokens).sum(),
    };
    for setting in OTHERS {
        let other = run(setting, &some)?;
        let against = |scores: &[i32]| Differences::new(setting.name, &every_of(scores), &other);
        compared.reference.push(against(&exact));
        compared.settings.push(against(&usual));
    }
    Ok(compared)
}

/// Raw scores of all pairs, from batches of this many windows of neighbouring pairs.
fn scores(
    scorer: &mut dyn Scorer,
    kind: Kind,
    pairs: &[Encoded],
    batch: usize,
    bar: &ProgressBar,
) -> Result<Vec<i32>> {
    let mut scores = Vec::with_capacity(pairs.len());
    for pairs in pairs.chunks(batch) {
        let windows: Vec<&Window> = pairs.iter().flat_map(|pair| &pair.windows).collect();
        let mut rows: Vec<Row> = Vec::with_capacity(windows.len());
        for windows in windows.chunks(batch) {
            rows.extend(scorer.rows(windows)?);
        }
        let mut rest = rows.as_slice();
        for pair in pairs {
            let (of_pair, others) = rest.split_at(pair.windows.len());
            scores.push(Score::of(kind, of_pair)?.raw_score);
            rest = others;
        }
        bar.inc(pairs.len() as u64);
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::testing::{CROSS_ENCODER, find};
    use crate::scores::tolerance::built_in;

    #[test]
    fn the_runtime_is_near_the_reference_evaluator() {
        let pairs = built_in(24).unwrap();
        let bar = ProgressBar::hidden();
        let (entry, files) = find(CROSS_ENCODER);
        let compared = compare(&entry, &files, &pairs, 3, &bar).unwrap();
        assert_eq!((compared.reference.len(), compared.settings.len()), (4, 3));
        assert_eq!(compared.reference[0].pairs, 24);
        assert_eq!(compared.settings[2].pairs, 8);
        for differences in compared.reference.iter().chain(&compared.settings) {
            assert!(differences.max <= 20, "{differences:?}");
        }
        assert_eq!(bar.position(), 24 * 2 + 3 * 8);
    }

    #[test]
    fn what_is_capped_never_differs() {
        let (mut entry, files) = find(CROSS_ENCODER);
        entry.caps_junk = true;
        let mut pairs = built_in(3).unwrap();
        pairs[1].answer = pairs[1].prompt.clone();
        let bar = ProgressBar::hidden();
        let compared = compare(&entry, &files, &pairs, 1, &bar).unwrap();
        assert_eq!((compared.windows, bar.position()), (2, 3 * 5));
        assert!(
            compared
                .reference
                .iter()
                .all(|of| of.pairs == 3 && of.max <= 20)
        );
    }
}
