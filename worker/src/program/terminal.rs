//! Writes results to the standard output, including untrusted text.

use std::io::{self, IsTerminal, Write};

/// Writes to the standard output. On a terminal, control characters in untrusted text are escaped;
/// a file or a pipe gets every byte.
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
        // A closed pipe, as with `head`, is not an error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Escapes control characters except line ends and tabs.
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
