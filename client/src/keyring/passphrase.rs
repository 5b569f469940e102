use std::fmt;
use std::io::IsTerminal;

use zeroize::Zeroizing;

use super::Error;

/// Environment variable with the passphrase, for programs without a terminal.
pub const PASSPHRASE_VARIABLE: &str = "POQ_KEYRING_PASSPHRASE";
/// Fewest bytes of a new passphrase.
const SHORTEST: usize = 8;

/// Environment variable with the passphrase of an exported key, for programs without a terminal.
pub const EXPORT_VARIABLE: &str = "POQ_EXPORT_PASSPHRASE";

/// What a passphrase is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For a keyring that exists.
    Unlock,
    /// For a new keyring: ask twice.
    Create,
    /// For a key in a file.
    Import,
    /// For a key that goes to a file: ask twice.
    Export,
}

impl Purpose {
    fn is_new(self) -> bool {
        matches!(self, Self::Create | Self::Export)
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Unlock | Self::Create => PASSPHRASE_VARIABLE,
            Self::Import | Self::Export => EXPORT_VARIABLE,
        }
    }

    fn prompt(self) -> &'static str {
        match self {
            Self::Unlock => "Keyring passphrase: ",
            Self::Create => "New keyring passphrase: ",
            Self::Import => "Passphrase of the exported key: ",
            Self::Export => "New passphrase for the exported key: ",
        }
    }
}

/// A passphrase, erased from memory when dropped and never printed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Passphrase {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Takes the passphrase from `POQ_KEYRING_PASSPHRASE`, or `POQ_EXPORT_PASSPHRASE` for an exported
/// key, else asks on the terminal; twice for a new one.
pub fn ask(purpose: Purpose) -> crate::Result<Passphrase> {
    let variable = purpose.variable();
    if let Ok(text) = std::env::var(variable) {
        return checked(purpose, text.into());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Passphrase(format!(
            "there is no terminal to ask on; set {variable} or use the `test` backend"
        ))
        .into());
    }
    let passphrase = checked(purpose, prompt(purpose.prompt())?)?;
    if purpose.is_new() && prompt("Repeat the passphrase: ")?.0 != passphrase.0 {
        return Err(Error::Passphrase("the two passphrases differ".into()).into());
    }
    Ok(passphrase)
}

fn prompt(text: &str) -> crate::Result<Passphrase> {
    rpassword::prompt_password(text)
        .map(Passphrase::from)
        .map_err(|error| Error::Passphrase(error.to_string()).into())
}

fn checked(purpose: Purpose, passphrase: Passphrase) -> crate::Result<Passphrase> {
    if purpose.is_new() && passphrase.0.len() < SHORTEST {
        return Err(Error::Passphrase(format!("it must have at least {SHORTEST} bytes")).into());
    }
    Ok(passphrase)
}
