//! Input from the terminal and from files.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;

use anyhow::bail;

/// Asks the user for confirmation.
pub(super) fn confirm(what: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        bail!("standard input is not a terminal, so poqd cannot ask; add --yes to {what}");
    }
    eprint!("Do you want to {what}? [y/N] ");
    match read_line()?.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("cancelled"),
    }
}

/// Reads a line of standard input.
pub(super) fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

/// Reads a file; - is standard input.
pub(super) fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut content = Vec::new();
    io::stdin().read_to_end(&mut content)?;
    Ok(content)
}
