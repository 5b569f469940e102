//! What the user gives: on the terminal, in files.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;

use anyhow::bail;

/// Asks the user; only a `y` is consent.
pub(super) fn confirm(what: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        bail!("the standard input is not a terminal, so nobody can be asked; add --yes to {what}");
    }
    eprint!("Do you want to {what}? [y/N] ");
    match read_line()?.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("cancelled"),
    }
}

/// A line of the standard input.
pub(super) fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

/// The content of a file; - is the standard input.
pub(super) fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut content = Vec::new();
    io::stdin().read_to_end(&mut content)?;
    Ok(content)
}
