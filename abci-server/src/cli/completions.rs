//! `poqd completions`.

use std::io;

use clap_complete::Shell;

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// Shell of the script.
    shell: Shell,
}

impl Completions {
    /// Prints a completion script for `command`.
    pub(super) fn run(self, mut command: clap::Command) {
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut io::stdout());
    }
}
