//! How a long answer is cut into windows, and how their scores become one. Integers only.

use std::ops::Range;

/// What is read of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Tokens of the prompt, in every window.
    pub prompt: usize,
    /// Tokens of the answer, in all windows together.
    pub answer: usize,
    /// Windows of the answer, at least 1.
    pub windows: usize,
}

impl Cut {
    /// Of a prompt and an answer with this many tokens, where `room` tokens of both together fit
    /// into a window and there are at most `max_windows`, which is at least 1.
    pub fn together(room: usize, max_windows: usize, prompt: usize, answer: usize) -> Self {
        let most = room.saturating_sub(prompt).max(room.div_ceil(2));
        let windows = answer.div_ceil(most).clamp(1, max_windows.max(1));
        Self {
            prompt: prompt.min(room - answer.min(most)),
            answer: answer.min(windows * most),
            windows,
        }
    }

    /// The same, where a window of `room` tokens has the prompt alone, and others the answer.
    pub fn apart(room: usize, max_windows: usize, prompt: usize, answer: usize) -> Self {
        let windows = answer.div_ceil(room).clamp(1, max_windows.max(1));
        Self {
            prompt: prompt.min(room),
            answer: answer.min(windows * room),
            windows,
        }
    }

    /// The answer's tokens that each window has.
    pub fn ranges(self) -> impl Iterator<Item = Range<usize>> {
        let start = move |window| window * self.answer / self.windows;
        (0..self.windows).map(move |window| start(window)..start(window + 1))
    }
}

/// The raw score of a pair from those of its windows, in micro-logits: their mean, rounded half
/// away from zero. 0 without windows.
pub fn mean(scores: &[i32]) -> i32 {
    let sum: i64 = scores.iter().copied().map(i64::from).sum();
    let number = scores.len().max(1) as i64;
    let magnitude = (2 * sum.abs() + number) / (2 * number);
    // A mean is between the least and the highest of its values, which are of i32.
    (magnitude * sum.signum()) as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(room: usize, max_windows: usize, prompt: usize, answer: usize) -> [usize; 3] {
        let cut = Cut::together(room, max_windows, prompt, answer);
        [cut.prompt, cut.answer, cut.windows]
    }

    #[test]
    fn the_room_of_one_window_is_shared() {
        assert_eq!(cut(509, 1, 100, 100), [100, 100, 1]);
        assert_eq!(cut(509, 1, 100, 5000), [100, 409, 1]);
        assert_eq!(cut(509, 1, 5000, 100), [409, 100, 1]);
        assert_eq!(cut(509, 1, 5000, 5000), [254, 255, 1]);
        assert_eq!(cut(509, 1, 254, 5000), [254, 255, 1]);
        assert_eq!(cut(2, 1, 9, 9), [1, 1, 1]);
        assert_eq!(cut(2, 0, 9, 9), [1, 1, 1]);
    }

    #[test]
    fn a_long_answer_has_as_many_windows_as_it_needs() {
        assert_eq!(cut(509, 8, 100, 409), [100, 409, 1]);
        assert_eq!(cut(509, 8, 100, 410), [100, 410, 2]);
        assert_eq!(cut(509, 8, 5000, 600), [254, 600, 3]);
        assert_eq!(cut(509, 8, 100, 9000), [100, 3272, 8]);
        assert_eq!(cut(509, 8, 0, 0), [0, 0, 1]);
    }

    #[test]
    fn texts_that_are_read_apart_leave_each_other_all_room() {
        let cut = |max_windows, prompt, answer| {
            let cut = Cut::apart(510, max_windows, prompt, answer);
            [cut.prompt, cut.answer, cut.windows]
        };
        assert_eq!(cut(8, 100, 510), [100, 510, 1]);
        assert_eq!(cut(8, 9000, 511), [510, 511, 2]);
        assert_eq!(cut(8, 0, 9000), [0, 4080, 8]);
        assert_eq!(cut(0, 0, 0), [0, 0, 1]);
        let ranges: Vec<_> = Cut::apart(510, 8, 9, 1021).ranges().collect();
        assert_eq!(ranges, [0..340, 340..680, 680..1021]);
    }

    #[test]
    fn windows_are_of_like_length() {
        let ranges = |cut: Cut| cut.ranges().collect::<Vec<_>>();
        assert_eq!(ranges(Cut::together(509, 8, 100, 410)), [0..205, 205..410]);
        assert_eq!(ranges(Cut::together(10, 8, 0, 23)), [0..7, 7..15, 15..23]);
        assert_eq!(ranges(Cut::together(10, 2, 0, 23)), [0..10, 10..20]);
        assert!(ranges(Cut::together(10, 2, 0, 0)).iter().eq([&(0..0)]));
    }

    #[test]
    fn the_mean_is_rounded_half_away_from_zero() {
        assert_eq!(mean(&[7]), 7);
        assert_eq!(mean(&[1, 2]), 2);
        assert_eq!(mean(&[-1, -2]), -2);
        assert_eq!(mean(&[-1, 2]), 1);
        assert_eq!(mean(&[1, -2]), -1);
        assert_eq!(mean(&[1, 1, 2]), 1);
        assert_eq!(mean(&[-1, -1, -2]), -1);
        assert_eq!(mean(&[5, -5]), 0);
        assert_eq!(mean(&[i32::MAX; 64]), i32::MAX);
        assert_eq!(mean(&[i32::MIN; 64]), i32::MIN);
        assert_eq!(mean(&[]), 0);
    }

    proptest! {
        #[test]
        fn the_windows_are_what_is_read(
            room in 2_usize..600,
            max_windows in 1_usize..=64,
            prompt in 0_usize..2000,
            answer in 0_usize..20_000,
        ) {
            let cut = Cut::together(room, max_windows, prompt, answer);
            let lengths: Vec<usize> = cut.ranges().map(|range| range.len()).collect();
            prop_assert!((1..=max_windows).contains(&cut.windows));
            prop_assert_eq!(lengths.len(), cut.windows);
            prop_assert_eq!(lengths.iter().sum::<usize>(), cut.answer);
            let (longest, shortest) = (lengths.iter().max().unwrap(), lengths.iter().min().unwrap());
            prop_assert!(longest - shortest <= 1 && cut.prompt + longest <= room);
            prop_assert!(cut.prompt <= prompt && cut.prompt >= prompt.min(room / 2));
            prop_assert!(cut.answer <= answer && cut.answer >= answer.min(room / 2));
            // Nothing is left out as long as there are windows.
            prop_assert!(cut.answer == answer || cut.windows == max_windows);
            let alone = Cut::together(room, 1, prompt, answer);
            prop_assert_eq!(alone.prompt, cut.prompt);
            prop_assert_eq!(alone.prompt + alone.answer, room.min(prompt + answer));
        }

        #[test]
        fn the_mean_is_the_nearest_number(scores in proptest::collection::vec(any::<i32>(), 1..=64)) {
            let exact: i64 = scores.iter().map(|score| i64::from(*score)).sum();
            let number = scores.len() as i64;
            prop_assert!((i64::from(mean(&scores)) * number - exact).abs() * 2 <= number);
        }
    }
}
