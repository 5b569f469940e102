//! Combines the values of windows into a raw score, in integers.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "conversions saturate; twice a sum of 32-bit scores has fewer than 64 bits, and a mean has 32"
)]

/// The raw score of plain junk, far below any score of a model.
pub const LEAST: i32 = i32::MIN;

/// A logit or a cosine in millionths, rounded half away from zero, saturating at the range of `i32`.
pub fn millionths(value: f32) -> i32 {
    let scaled = f64::from(value) * 1e6;
    // Exact: conversions truncate and saturate, and the difference of two near numbers is exact.
    let whole = scaled as i64;
    let rest = scaled - whole as f64;
    let up = i64::from(rest >= 0.5) - i64::from(rest <= -0.5);
    whole
        .saturating_add(up)
        .clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// The mean of the windows' scores, rounded half away from zero; 0 without windows.
pub fn mean(scores: &[i32]) -> i32 {
    let number = scores.len().max(1) as i64;
    let sum: i64 = scores.iter().map(|score| i64::from(*score)).sum();
    let double = 2 * sum;
    let rounded = if sum < 0 {
        (double - number) / (2 * number)
    } else {
        (double + number) / (2 * number)
    };
    rounded as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn millionths_round_half_away_from_zero_and_saturate() {
        assert_eq!(millionths(9.085_089), 9_085_089);
        assert_eq!(millionths(-11.187_496), -11_187_496);
        // 2^-7 and 2^-8 are exact: 7812.5 and 3906.25 millionths.
        assert_eq!(millionths(0.007_812_5), 7_813);
        assert_eq!(millionths(-0.007_812_5), -7_813);
        assert_eq!(millionths(0.003_906_25), 3_906);
        assert_eq!(millionths(f32::MAX), i32::MAX);
        assert_eq!(millionths(f32::MIN), i32::MIN);
    }

    #[test]
    fn the_mean_rounds_half_away_from_zero() {
        assert_eq!([mean(&[1, 2]), mean(&[-1, -2]), mean(&[-1, 2])], [2, -2, 1]);
        assert_eq!([mean(&[1, 1, 2]), mean(&[5, -5]), mean(&[])], [1, 0, 0]);
        assert_eq!(mean(&[i32::MIN; 64]), i32::MIN);
    }

    proptest! {
        #[test]
        fn the_mean_is_the_nearest_number(scores in proptest::collection::vec(any::<i32>(), 1..=64)) {
            let exact: i64 = scores.iter().map(|score| i64::from(*score)).sum();
            let number = scores.len() as i64;
            prop_assert!((i64::from(mean(&scores)) * number - exact).abs() * 2 <= number);
        }

        #[test]
        fn millionths_are_the_nearest_number(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            // The platform's rounding, which IEEE 754 also defines.
            prop_assert_eq!(millionths(value), (f64::from(value) * 1e6).round() as i32);
        }
    }
}
