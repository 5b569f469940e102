//! `poqd keys`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use poq_client::keyring::{KeyInfo, Keyring, Purpose, ask, export, import};
use poq_client::{Key, Mnemonic, Multisig};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::flags::KeyringFlags;
use super::input::{confirm, read_bytes, read_line};
use crate::home::Home;
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;

/// Commands of `keys`.
#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    #[command(flatten)]
    keyring: KeyringFlags,
    /// Format of results; default: as in client.toml.
    #[arg(long, short = 'o', global = true, value_enum)]
    output: Option<Format>,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeysCommand {
    /// Create a key and show its mnemonic, recover a key from its mnemonic, or add a multisignature
    /// account.
    Add(Add),
    /// List all keys.
    List,
    /// Show one key's address and public key.
    Show {
        /// Name of the key.
        name: String,
        /// Print only the address.
        #[arg(long, short)]
        address: bool,
    },
    /// Delete a key permanently.
    Delete {
        /// Name of the key.
        name: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Print a key, encrypted with a passphrase that is prompted for or read from
    /// POQ_EXPORT_PASSPHRASE.
    Export {
        /// Name of the key.
        name: String,
        /// Print the secret itself, as 64 hex digits.
        #[arg(long, requires = "unsafe")]
        unarmored_hex: bool,
        /// Confirm that anyone who sees the secret can spend all coins.
        #[arg(long)]
        r#unsafe: bool,
    },
    /// Add an exported key.
    Import {
        /// Name of the key in this keyring.
        name: String,
        /// File with the output of `keys export`; - is standard input.
        file: PathBuf,
        /// The file contains the secret itself, as 64 hex digits.
        #[arg(long)]
        unarmored_hex: bool,
    },
    /// Print a new mnemonic of 24 words without storing it.
    Mnemonic,
}

/// Flags of `keys add`.
#[derive(Debug, clap::Args)]
struct Add {
    /// Name of the key.
    name: String,
    /// Add only a public key: 66 hex digits, as `keys show` prints them.
    #[arg(long, value_name = "HEX", conflicts_with_all = ["recover", "multisig"])]
    pubkey: Option<String>,
    /// Add a multisignature account: the names of its keys in this keyring, separated by commas, in any
    /// order.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "multisig_threshold",
        conflicts_with = "recover"
    )]
    multisig: Vec<String>,
    /// Number of keys that must sign.
    #[arg(long, value_name = "NUMBER", requires = "multisig")]
    multisig_threshold: Option<u32>,
    /// Read the mnemonic from the terminal or standard input.
    #[arg(long)]
    recover: bool,
    /// File with the mnemonic's BIP-39 passphrase, the "25th word" of some wallets; a final line end is
    /// ignored.
    #[arg(long, value_name = "FILE", requires = "recover")]
    bip39_passphrase_file: Option<PathBuf>,
    /// Account number in the derivation path m/44'/118'/ACCOUNT'/0/INDEX.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    account: u32,
    /// Index in the derivation path.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    index: u32,
    /// The whole derivation path.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["account", "index"])]
    hd_path: Option<String>,
}

/// A new key. This is the only place that shows the mnemonic.
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
    /// Errors of the keyring.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = ClientSettings::load(home)?;
        let format = self.output.unwrap_or(settings.output);
        let keyring = self.keyring.open(home, &settings)?;
        match self.command {
            KeysCommand::Add(command) => command.run(&keyring, format),
            KeysCommand::List => Ok(format.print(&keyring.list()?)?),
            KeysCommand::Show {
                name,
                address: true,
            } => print_line(&keyring.show(&name)?.address),
            KeysCommand::Show {
                name,
                address: false,
            } => Ok(format.print(&keyring.show(&name)?)?),
            KeysCommand::Delete { name, yes } => {
                keyring.show(&name)?;
                if !yes {
                    confirm(&format!("delete the key `{name}` permanently"))?;
                }
                Ok(keyring.delete(&name)?)
            }
            KeysCommand::Export {
                name,
                unarmored_hex,
                ..
            } => {
                let key = keyring.key(&name)?;
                if unarmored_hex {
                    return print_line(&hex::encode(key.to_bytes().as_slice()));
                }
                print_line(&export(&name, &key, &ask(Purpose::Export)?)?)
            }
            KeysCommand::Import {
                name,
                file,
                unarmored_hex,
            } => {
                let key = read_key(&file, unarmored_hex)?;
                Ok(format.print(&keyring.insert(&name, &key)?)?)
            }
            KeysCommand::Mnemonic => match format {
                Format::Text => print_line(Mnemonic::random().words()),
                Format::Json => {
                    let mnemonic = Mnemonic::random();
                    Ok(format.print(&json!({"mnemonic": mnemonic.words()}))?)
                }
            },
        }
    }

    /// Value of `--output`.
    pub(super) fn output(&self) -> Option<Format> {
        self.output
    }
}

impl Add {
    fn run(self, keyring: &Keyring, format: Format) -> anyhow::Result<()> {
        if let Some(digits) = &self.pubkey {
            let key = hex::decode(digits).context("--pubkey is not hex")?;
            return Ok(format.print(&keyring.insert_public(&self.name, &key)?)?);
        }
        if let Some(threshold) = self.multisig_threshold {
            let keys = self.multisig.iter();
            let keys = keys.map(|name| Ok(keyring.show(name)?.public_key));
            let key = Multisig::new(threshold, keys.collect::<anyhow::Result<_>>()?)?;
            return Ok(format.print(&keyring.insert_public(&self.name, &key.encode())?)?);
        }
        let path = match &self.hd_path {
            Some(path) => path.clone(),
            None => format!("m/44'/118'/{}'/0/{}", self.account, self.index),
        };
        if self.recover {
            let mnemonic = match &self.bip39_passphrase_file {
                Some(file) => read_mnemonic()?.with_passphrase(&read_passphrase(file)?),
                None => read_mnemonic()?,
            };
            let key = Key::derive(&mnemonic, &path)?;
            return Ok(format.print(&keyring.insert(&self.name, &key)?)?);
        }
        let mnemonic = Mnemonic::random();
        let info = keyring.insert(&self.name, &Key::derive(&mnemonic, &path)?)?;
        format.print(&NewKey {
            info: &info,
            mnemonic: mnemonic.words(),
        })?;
        eprintln!(
            "Write the mnemonic down and keep it safe: only the mnemonic can restore the key, and it is \
             not shown again."
        );
        Ok(())
    }
}

fn read_key(file: &Path, unarmored_hex: bool) -> anyhow::Result<Key> {
    let name = file.display();
    let content = Zeroizing::new(read_bytes(file).with_context(|| format!("cannot read {name}"))?);
    if !unarmored_hex {
        return Ok(import(&content, &ask(Purpose::Import)?)?);
    }
    let secret = hex::decode(content.trim_ascii()).map(Zeroizing::new);
    let secret = secret.with_context(|| format!("{name} is not hex"))?;
    Ok(Key::from_bytes(&secret)?)
}

/// Prints plain text for use by other programs.
fn print_line(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

fn read_passphrase(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let name = file.display();
    let bytes = Zeroizing::new(read_bytes(file).with_context(|| format!("cannot read {name}"))?);
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{name} is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Zeroizing::new(
        text.strip_suffix('\r').unwrap_or(text).to_owned(),
    ))
}

fn read_mnemonic() -> anyhow::Result<Mnemonic> {
    let words = if io::stdin().is_terminal() {
        rpassword::prompt_password("Mnemonic (not shown): ").context("cannot read the mnemonic")?
    } else {
        read_line().context("cannot read the mnemonic from standard input")?
    };
    Ok(Mnemonic::parse(&words)?)
}
