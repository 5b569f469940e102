//! `poqd completions`.

use std::io;

use clap_complete::Shell;

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell that the script is for.
    shell: Shell,
}

impl Completions {
    /// Prints a script that completes the command line `command`.
    pub fn run(self, mut command: clap::Command) {
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut io::stdout());
    }
}
