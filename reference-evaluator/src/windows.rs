//! How texts are cut into windows. Integers only.
//!
//! The rule is in `evaluator/README.md`.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of the tokens of two texts in memory, and of windows, which have room for one token at least"
)]

use std::ops::Range;

/// What is read of two texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Tokens of the prompt that are read, from its first on.
    pub prompt: usize,
    /// Tokens of the answer that each window has; at least one window.
    pub windows: Vec<Range<usize>>,
}

impl Cut {
    /// Tokens of the answer that are read, from its first on.
    pub(crate) fn answer(&self) -> usize {
        self.windows.last().map_or(0, |window| window.end)
    }
}

/// The windows of a cross-encoder, which reads at most `room` tokens of both texts at once. A text of
/// `prompt` tokens and one of `answer` tokens; at most `max_windows`, where 0 is 1.
pub(crate) fn together(room: usize, max_windows: usize, prompt: usize, answer: usize) -> Cut {
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
pub(crate) fn apart(room: usize, max_windows: usize, prompt: usize, answer: usize) -> Cut {
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
    fn one_window_shares_its_room() {
        let cut = |max_windows, prompt, answer| {
            let cut = together(509, max_windows, prompt, answer);
            (cut.prompt, cut.answer(), cut.windows.len())
        };
        assert_eq!(cut(1, 100, 5000), (100, 409, 1));
        assert_eq!(cut(1, 5000, 5000), (254, 255, 1));
        assert_eq!(cut(0, 254, 5000), (254, 255, 1));
    }

    proptest! {
        #[test]
        fn windows_follow_each_other(room in 2_usize..600, max_windows in 0_usize..70, prompt in 0_usize..2000, answer in 0_usize..20_000) {
            for cut in [together(room, max_windows, prompt, answer), apart(room, max_windows, prompt, answer)] {
                let mut end = 0;
                for window in &cut.windows {
                    prop_assert_eq!(window.start, end);
                    end = window.end;
                }
                let lengths = cut.windows.iter().map(Range::len);
                let (longest, shortest) = (lengths.clone().max().unwrap(), lengths.min().unwrap());
                prop_assert!(longest - shortest <= 1);
                prop_assert!(cut.windows.len() <= max_windows.max(1));
                prop_assert!(cut.prompt <= prompt && cut.prompt >= prompt.min(room / 2));
                // Nothing is left out as long as there are windows.
                prop_assert!(end == answer || end < answer && cut.windows.len() == max_windows.max(1));
            }
        }

        #[test]
        fn a_cross_encoders_window_has_room_for_both(room in 2_usize..600, max_windows in 1_usize..70, prompt in 0_usize..2000, answer in 0_usize..20_000) {
            let cut = together(room, max_windows, prompt, answer);
            let longest = cut.windows.iter().map(Range::len).max().unwrap();
            prop_assert!(cut.prompt + longest <= room && cut.answer() >= answer.min(room / 2));
            let alone = together(room, 1, prompt, answer);
            prop_assert_eq!(alone.prompt, cut.prompt);
            prop_assert_eq!(alone.prompt + alone.answer(), room.min(prompt + answer));
        }
    }
}
