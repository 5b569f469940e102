//! Results on the standard output, whoever wrote what is in them.

use std::io::{self, IsTerminal, Write};

/// Writes to the standard output. On a terminal nothing in a text that comes from others may control
/// it; whoever reads a file or a pipe gets every byte.
///
/// # Errors
/// If the output cannot be written.
pub fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let written = match output.is_terminal() {
        true => output.write_all(without_controls(text).as_bytes()),
        false => output.write_all(text.as_bytes()),
    };
    match written {
        // Who closed a pipe, as `head` does, wants to read no more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A text whose control characters, but for line ends and tabs, are written out.
pub fn without_controls(text: &str) -> String {
    let is_control = |letter: &char| letter.is_control() && !matches!(letter, '\n' | '\t');
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_control(&letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::without_controls;

    #[test]
    fn a_terminal_is_not_controlled_by_what_others_wrote() {
        assert_eq!(
            without_controls("a\tb\nc\u{1b}[31m\r\u{9b}\u{7}ä"),
            "a\tb\nc\\u{1b}[31m\\r\\u{9b}\\u{7}ä"
        );
    }
}
