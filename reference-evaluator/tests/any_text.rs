//! Any two texts have a score, with the same bits from portable code.

mod shared;

use std::sync::LazyLock;

use poq_reference_evaluator::{Evaluator, Instructions};
use proptest::prelude::*;
use shared::Files;

static BEST: LazyLock<Evaluator> = LazyLock::new(|| Files::cross_encoder().open());
static PORTABLE: LazyLock<Evaluator> = LazyLock::new(|| {
    let evaluator = Files::cross_encoder().open();
    evaluator.with_instructions(Instructions::Portable)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_has_a_score(prompt in any::<String>(), answer in any::<String>()) {
        let score = BEST.score(&prompt, &answer).unwrap();
        prop_assert!(score.abs() < 15_000_000, "{}", score);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn portable_code_gives_the_same_bits(prompt in "\\PC{0,12}", answer in "\\PC{0,12}") {
        let bits = |evaluator: &Evaluator| -> Vec<u32> {
            let values = evaluator.values(&prompt, &answer).unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        prop_assert_eq!(bits(&BEST), bits(&PORTABLE));
    }
}
