//! `poqd keys`.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, bail};
use poq_client::Mnemonic;
use poq_client::keyring::{KeyInfo, Keyring};
use serde::Serialize;

use super::node::KeyringFlags;
use crate::home::Home;
use crate::output::Format;
use crate::settings::ClientSettings;

/// Commands of `keys`.
#[derive(Debug, clap::Args)]
pub struct Keys {
    #[command(flatten)]
    keyring: KeyringFlags,
    /// How results are printed; default: as in client.toml.
    #[arg(long, short = 'o', global = true, value_enum)]
    output: Option<Format>,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeysCommand {
    /// Make a key and show its mnemonic, or recover one from its mnemonic.
    Add {
        /// Name of the key.
        name: String,
        /// Read the mnemonic from the terminal or the standard input.
        #[arg(long)]
        recover: bool,
    },
    /// List all keys.
    List,
    /// Show one key's address and public key.
    Show {
        /// Name of the key.
        name: String,
        /// Print nothing but the address.
        #[arg(long, short)]
        address: bool,
    },
    /// Delete a key for good.
    Delete {
        /// Name of the key.
        name: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// A new key. The mnemonic is shown once, here.
#[derive(Serialize)]
struct NewKey<'a> {
    #[serde(flatten)]
    info: &'a KeyInfo,
    mnemonic: &'a str,
}

impl Keys {
    /// Runs the command.
    ///
    /// # Errors
    /// The keyring's.
    pub fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = ClientSettings::load(home)?;
        let format = self.output.unwrap_or(settings.output);
        let keyring = self.keyring.open(home, &settings)?;
        match self.command {
            KeysCommand::Add {
                name,
                recover: false,
            } => add(&keyring, &name, format),
            KeysCommand::Add {
                name,
                recover: true,
            } => Ok(format.print(&keyring.recover(&name, &read_mnemonic()?)?)?),
            KeysCommand::List => Ok(format.print(&keyring.list()?)?),
            KeysCommand::Show {
                name,
                address: true,
            } => {
                println!("{}", keyring.show(&name)?.address);
                Ok(())
            }
            KeysCommand::Show {
                name,
                address: false,
            } => Ok(format.print(&keyring.show(&name)?)?),
            KeysCommand::Delete { name, yes } => {
                keyring.show(&name)?;
                if !yes {
                    confirm(&format!("delete the key `{name}` for good"))?;
                }
                Ok(keyring.delete(&name)?)
            }
        }
    }

    /// Value of `--output`.
    pub fn output(&self) -> Option<Format> {
        self.output
    }
}

fn add(keyring: &Keyring, name: &str, format: Format) -> anyhow::Result<()> {
    let (info, mnemonic) = keyring.add(name)?;
    format.print(&NewKey {
        info: &info,
        mnemonic: mnemonic.words(),
    })?;
    eprintln!(
        "Write the mnemonic down and keep it safe: it is the only way to get the key back, and it \
         is not shown again."
    );
    Ok(())
}

fn read_mnemonic() -> anyhow::Result<Mnemonic> {
    let words = if io::stdin().is_terminal() {
        rpassword::prompt_password("Mnemonic (not shown): ").context("cannot read the mnemonic")?
    } else {
        read_line().context("cannot read the mnemonic from the standard input")?
    };
    Ok(Mnemonic::parse(&words)?)
}

/// Asks the user; only a `y` is consent.
pub(super) fn confirm(what: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        bail!("the standard input is no terminal, so nobody can be asked; add --yes to {what}");
    }
    eprint!("Do you want to {what}? [y/N] ");
    match read_line()?.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("cancelled"),
    }
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
