//! Ends an answer before the first stop text.

/// Finds stop texts in an answer that arrives in parts, and holds back a possible beginning of one.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    texts: Vec<String>,
    held: String,
    is_found: bool,
}

impl Stops {
    /// For one answer; empty texts are ignored.
    pub(crate) fn new(texts: &[String]) -> Self {
        Self {
            texts: texts
                .iter()
                .filter(|text| !text.is_empty())
                .cloned()
                .collect(),
            ..Self::default()
        }
    }

    /// Adds the next part and returns the text that certainly belongs to the answer.
    pub(crate) fn push(&mut self, part: &str) -> String {
        if self.is_found {
            return String::new();
        }
        self.held.push_str(part);
        if let Some(start) = self.first() {
            self.is_found = true;
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let certain = self.held.len() - self.pending();
        self.held.drain(..certain).collect()
    }

    /// The text that was held back, once no more parts follow.
    pub(crate) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Whether a stop text was found.
    pub(crate) fn is_found(&self) -> bool {
        self.is_found
    }

    /// Start of the stop text that is complete first; it does not depend on how the answer is split
    /// into parts.
    fn first(&self) -> Option<usize> {
        let ends = self.texts.iter().filter_map(|text| {
            let start = self.held.find(text)?;
            Some((start + text.len(), start))
        });
        ends.min().map(|(_, start)| start)
    }

    /// Number of bytes at the end that a stop text could begin with.
    fn pending(&self) -> usize {
        let longest = |text: &String| {
            (1..text.len().min(self.held.len() + 1))
                .rev()
                .find(|length| self.held.as_bytes().ends_with(&text.as_bytes()[..*length]))
        };
        self.texts.iter().filter_map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Stops;

    fn stopped(stops: &[&str], parts: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|text| (*text).to_owned()).collect();
        let mut stops = Stops::new(&stops);
        let mut out: Vec<String> = parts.iter().map(|part| stops.push(part)).collect();
        out.push(stops.rest());
        (out, stops.is_found())
    }

    #[test]
    fn what_could_be_a_beginning_is_held_back_until_it_is_none() {
        let (parts, is_found) = stopped(&["END"], &["one E", "N", "ough", " E"]);
        assert_eq!(parts, ["one ", "", "ENough", " ", "E"]);
        assert!(!is_found);
        assert_eq!(stopped(&[], &["a", "b"]).0, ["a", "b", ""]);
        assert_eq!(
            stopped(&[""], &["a"]),
            (vec!["a".into(), String::new()], false)
        );
    }

    #[test]
    fn the_answer_ends_before_the_first_stop_however_it_is_cut() {
        for (stops, whole, expected) in [
            (&["END"][..], "one EEND two END", "one E"),
            (&["\n\n", "\n"], "one\n\ntwo", "one"),
            (&["bcd", "c"], "abcd", "ab"),
            (&["é!"], "caf è é é!", "caf è é "),
            (&["x"], "x", ""),
        ] {
            let letters: Vec<String> = whole.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            for parts in [vec![whole], letters] {
                let (out, is_found) = stopped(stops, &parts);
                assert_eq!((out.concat().as_str(), is_found), (expected, true));
            }
        }
    }
}
