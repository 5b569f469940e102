//! An answer's text under a byte limit.

/// Collects generated text up to a number of bytes and never splits a character.
#[derive(Debug)]
pub(super) struct BoundedText {
    text: String,
    limit: usize,
    full: bool,
}

impl BoundedText {
    /// An empty text that grows to at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
            full: false,
        }
    }

    /// Appends as much of `delta` as fits and returns that part.
    pub(super) fn push<'a>(&mut self, delta: &'a str) -> &'a str {
        if self.full {
            return "";
        }
        let room = self.limit - self.text.len();
        let part = &delta[..delta.floor_char_boundary(room)];
        self.full = part.len() < delta.len();
        self.text.push_str(part);
        part
    }

    /// True once something did not fit.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The collected text.
    pub(super) fn into_string(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::BoundedText;

    #[test]
    fn keeps_whole_text_within_the_limit() {
        let mut text = BoundedText::new(5);
        assert_eq!(text.push("abc"), "abc");
        assert_eq!(text.push("de"), "de");
        assert!(!text.is_full());
        assert_eq!(text.push("f"), "");
        assert!(text.is_full());
        assert_eq!(text.into_string(), "abcde");
    }

    #[test]
    fn cuts_before_a_character_that_does_not_fit() {
        for limit in 0..=12 {
            let mut text = BoundedText::new(limit);
            for delta in ["né", "€", "😀", "x"] {
                text.push(delta);
            }
            let text = text.into_string();
            assert!(text.len() <= limit, "{limit}: {text}");
            assert!("né€😀x".starts_with(&text), "{limit}: {text}");
        }
    }

    #[test]
    fn stays_cut_after_the_first_loss() {
        let mut text = BoundedText::new(3);
        assert_eq!(text.push("a😀"), "a");
        assert!(text.is_full());
    }
}
