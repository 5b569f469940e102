//! The text of an answer as it is generated: up to a stop text and a byte limit.

use super::stops::Stops;
use super::text::BoundedText;
use super::{Finish, Request};

/// The visible text of an answer.
pub(super) struct Output {
    stops: Stops,
    text: BoundedText,
}

impl Output {
    /// For the answer to `request`.
    pub(super) fn new(request: &Request) -> Self {
        Self {
            stops: Stops::new(&request.stop),
            text: BoundedText::new(request.max_bytes),
        }
    }

    /// Adds the next part and returns the text that can be shown now.
    pub(super) fn push(&mut self, part: &str) -> String {
        self.text.push(&self.stops.push(part)).to_owned()
    }

    /// The text that was held back, once no more parts follow.
    pub(super) fn rest(&mut self) -> String {
        self.text.push(&self.stops.rest()).to_owned()
    }

    /// The limit that ended the answer, if one did.
    pub(super) fn finish(&self) -> Option<Finish> {
        match (self.text.is_full(), self.stops.is_found()) {
            (true, _) => Some(Finish::Bytes),
            (false, true) => Some(Finish::Stop),
            (false, false) => None,
        }
    }

    /// The whole answer.
    pub(super) fn into_string(self) -> String {
        self.text.into_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::question;
    use super::*;

    #[test]
    fn the_first_limit_ends_the_answer() {
        let mut request = question("");
        request.stop = vec!["END".into()];
        request.max_bytes = 6;
        let mut output = Output::new(&request);
        assert_eq!(
            (output.push("one E"), output.finish()),
            ("one ".into(), None)
        );
        assert_eq!(
            (output.push("ND"), output.finish()),
            ("".into(), Some(Finish::Stop))
        );
        assert_eq!(output.rest(), "");
        assert_eq!(output.into_string(), "one ");

        let mut output = Output::new(&request);
        assert_eq!(output.push("one E"), "one ");
        assert_eq!((output.rest().as_str(), output.finish()), ("E", None));
        assert_eq!(
            (output.push("two").as_str(), output.finish()),
            ("t", Some(Finish::Bytes))
        );
        assert_eq!(output.into_string(), "one Et");
    }
}
