//! Scores and their bits, which must be equal on every machine.

mod shared;

use poq_reference_evaluator::{Evaluator, Instructions};
use shared::pairs::{self, Pair};
use shared::{Files, row};

const GOLDEN: &str = include_str!("snapshots/golden__cross_encoder.snap");
const GOLDEN_BI_ENCODER: &str = include_str!("snapshots/golden__bi_encoder.snap");

/// Compares the results of these pairs with their lines in the golden file.
fn check(evaluator: &Evaluator, golden: &str, pairs: &[Pair]) {
    assert!(!pairs.is_empty());
    for pair in pairs {
        let expected = golden.lines().find(|line| line.starts_with(&pair.name));
        assert_eq!(row(evaluator, pair).trim_end(), expected.unwrap());
    }
}

#[test]
fn scores_are_the_golden_ones() {
    let evaluator = Files::cross_encoder().open();
    let pairs = pairs::all();
    assert!(pairs.len() >= 500);
    let rows: String = pairs.iter().map(|pair| row(&evaluator, pair)).collect();
    insta::assert_snapshot!("cross_encoder", rows);
}

#[test]
fn cosines_are_the_golden_ones() {
    let evaluator = Files::bi_encoder().open();
    let mut pairs = pairs::all();
    pairs.retain(|pair| pair.name[..3].parse::<usize>().unwrap().is_multiple_of(6));
    let rows: String = pairs.iter().map(|pair| row(&evaluator, pair)).collect();
    insta::assert_snapshot!("bi_encoder", rows);
}

#[test]
fn the_judges_scores_are_the_golden_ones() {
    let mut pairs = pairs::all();
    pairs.retain(|pair| pair.name[..3].parse::<usize>().unwrap().is_multiple_of(12));
    for (id, files) in Files::judges() {
        let evaluator = files.open();
        let rows: String = pairs.iter().map(|pair| row(&evaluator, pair)).collect();
        insta::assert_snapshot!(id, rows);
    }
}

#[test]
fn a_score_is_the_mean_of_the_windows() {
    for evaluator in [Files::cross_encoder().open(), Files::bi_encoder().open()] {
        for pair in pairs::few(1) {
            let score = evaluator.score(&pair.prompt, &pair.answer).unwrap();
            let row = row(&evaluator, &pair);
            assert!(row.contains(&format!(" {score} ")), "{score}: {row}");
        }
    }
}

/// A subset that is fast enough for a build without optimizations.
#[test]
fn few_pairs_have_the_golden_bits() {
    check(&Files::cross_encoder().open(), GOLDEN, &pairs::few(2));
}

#[test]
fn threads_change_nothing() {
    let mut long = pairs::all();
    long.retain(|pair| pair.name.ends_with("long"));
    for threads in [2, 3, 64] {
        let evaluator = Files::cross_encoder().open().with_threads(threads);
        check(&evaluator, GOLDEN, &long[..4]);
    }
    let evaluator = Files::bi_encoder().open().with_threads(3);
    long.retain(|pair| GOLDEN_BI_ENCODER.contains(&pair.name));
    check(&evaluator, GOLDEN_BI_ENCODER, &long);
}

#[test]
fn instructions_change_nothing() {
    // The fastest instructions computed the golden scores.
    let mut others = Instructions::available();
    others.retain(|instructions| *instructions != Instructions::best());
    for instructions in others {
        let portable = instructions == Instructions::Portable;
        let pairs = pairs::few(if portable { 4 } else { 24 });
        let evaluator = Files::cross_encoder()
            .open()
            .with_instructions(instructions);
        check(&evaluator, GOLDEN, &pairs);
        let mut pairs = pairs;
        pairs.retain(|pair| GOLDEN_BI_ENCODER.contains(&pair.name));
        let evaluator = Files::bi_encoder().open().with_instructions(instructions);
        check(&evaluator, GOLDEN_BI_ENCODER, &pairs);
    }
}
