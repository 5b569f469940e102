//! The text of an answer as it comes: up to a stop text, up to a number of bytes.

use super::stops::Stops;
use super::text::BoundedText;
use super::{Finish, Request};

/// What its asker gets of an answer.
pub struct Output {
    stops: Stops,
    text: BoundedText,
}

impl Output {
    /// Of the answer to `request`.
    pub fn new(request: &Request) -> Self {
        Self {
            stops: Stops::new(&request.stop),
            text: BoundedText::new(request.max_bytes),
        }
    }

    /// Takes the next part and returns what is to be shown of the answer now.
    pub fn push(&mut self, part: &str) -> String {
        self.text.push(&self.stops.push(part)).to_owned()
    }

    /// What was held back and is to be shown once no part follows.
    pub fn rest(&mut self) -> String {
        self.text.push(&self.stops.rest()).to_owned()
    }

    /// Why nothing more is to be shown, if that is so.
    pub fn finish(&self) -> Option<Finish> {
        match (self.text.is_full(), self.stops.is_found()) {
            (true, _) => Some(Finish::Bytes),
            (false, true) => Some(Finish::Stop),
            (false, false) => None,
        }
    }

    /// The whole answer.
    pub fn into_string(self) -> String {
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
