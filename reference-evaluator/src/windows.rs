//! How texts are cut into windows, and how the windows' scores become one. Integers only.
//!
//! This is the second implementation of the rule in `evaluator/README.md`.

use std::ops::Range;

/// What is read of two texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Tokens of the prompt that are read, from its first on.
    pub prompt: usize,
    /// Tokens of the answer that each window has; at least one window.
    pub windows: Vec<Range<usize>>,
}

/// The windows of a cross-encoder, which reads at most `room` tokens of both texts at once. A text of
/// `prompt` tokens and one of `answer` tokens; at most `max_windows`, where 0 is 1.
pub fn together(room: usize, max_windows: usize, prompt: usize, answer: usize) -> Cut {
    // Each text has half of the room, and the answer what the prompt leaves.
    let half = room / 2 + room % 2;
    let spare = room.saturating_sub(prompt);
    let most = if spare > half { spare } else { half };
    let kept = if answer < most {
        room - answer
    } else {
        room - most
    };
    Cut {
        prompt: if prompt < kept { prompt } else { kept },
        windows: parts(most, max_windows, answer),
    }
}

/// The windows of a bi-encoder, which reads at most `room` tokens of a text at once.
pub fn apart(room: usize, max_windows: usize, prompt: usize, answer: usize) -> Cut {
    Cut {
        prompt: prompt.min(room),
        windows: parts(room, max_windows, answer),
    }
}

/// Consecutive parts of at most `most` tokens whose lengths differ by one at most.
fn parts(most: usize, max_windows: usize, tokens: usize) -> Vec<Range<usize>> {
    let allowed = max_windows.max(1);
    let number = match tokens {
        0 => 1,
        tokens => ((tokens - 1) / most + 1).min(allowed),
    };
    let read = tokens.min(number * most);
    (0..number)
        .map(|part| part * read / number..(part + 1) * read / number)
        .collect()
}

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

/// The mean of the windows' scores, rounded half away from zero. 0 without windows.
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
    fn two_texts_share_the_room() {
        let cut = |prompt, answer| {
            let cut = together(509, 8, prompt, answer);
            (cut.prompt, cut.windows.len(), cut.windows.last().cloned())
        };
        assert_eq!(cut(0, 0), (0, 1, Some(0..0)));
        assert_eq!(cut(100, 409), (100, 1, Some(0..409)));
        assert_eq!(cut(100, 410), (100, 2, Some(205..410)));
        assert_eq!(cut(5000, 600), (254, 3, Some(400..600)));
        assert_eq!(cut(100, 9000), (100, 8, Some(2863..3272)));
        assert_eq!(cut(5000, 100), (409, 1, Some(0..100)));
    }

    #[test]
    fn texts_apart_have_the_room_each() {
        let cut = apart(510, 8, 600, 1021);
        assert_eq!(cut.prompt, 510);
        assert_eq!(cut.windows, [0..340, 340..680, 680..1021]);
        assert_eq!(apart(510, 0, 1, 0).windows, vec![0..0]);
        assert_eq!(apart(510, 0, 1, 2000).windows, vec![0..510]);
    }

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
        fn millionths_are_the_nearest_number(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            // The platform's rounding, which IEEE 754 defines as well.
            prop_assert_eq!(millionths(value), (f64::from(value) * 1e6).round() as i32);
        }

        #[test]
        fn windows_follow_each_other(room in 2_usize..600, max_windows in 0_usize..70, prompt in 0_usize..2000, answer in 0_usize..20_000) {
            for cut in [together(room, max_windows, prompt, answer), apart(room, max_windows, prompt, answer)] {
                let mut end = 0;
                for window in &cut.windows {
                    prop_assert_eq!(window.start, end);
                    end = window.end;
                }
                prop_assert!(end <= answer && cut.prompt <= prompt && cut.windows.len() <= max_windows.max(1));
            }
        }
    }
}
