use std::fmt;
use std::io::IsTerminal;

use zeroize::Zeroizing;

use super::Error;

/// Environment variable with the passphrase, for programs without a terminal.
pub const PASSPHRASE_VARIABLE: &str = "POQ_KEYRING_PASSPHRASE";
/// Fewest bytes of a new passphrase.
const SHORTEST: usize = 8;

/// What a passphrase is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For a keyring that exists.
    Unlock,
    /// For a new keyring: ask twice.
    Create,
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

/// Takes the passphrase from `POQ_KEYRING_PASSPHRASE`, else asks on the terminal, twice for a
/// new keyring.
pub fn ask(purpose: Purpose) -> crate::Result<Passphrase> {
    if let Ok(text) = std::env::var(PASSPHRASE_VARIABLE) {
        return checked(purpose, text.into());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Passphrase(format!(
            "there is no terminal to ask on; set {PASSPHRASE_VARIABLE} or use the `test` backend"
        ))
        .into());
    }
    match purpose {
        Purpose::Unlock => prompt("Keyring passphrase: "),
        Purpose::Create => {
            let first = checked(purpose, prompt("New keyring passphrase: ")?)?;
            if prompt("Repeat the passphrase: ")?.0 != first.0 {
                return Err(Error::Passphrase("the two passphrases differ".into()).into());
            }
            Ok(first)
        }
    }
}

fn prompt(text: &str) -> crate::Result<Passphrase> {
    rpassword::prompt_password(text)
        .map(Passphrase::from)
        .map_err(|error| Error::Passphrase(error.to_string()).into())
}

fn checked(purpose: Purpose, passphrase: Passphrase) -> crate::Result<Passphrase> {
    if purpose == Purpose::Create && passphrase.0.len() < SHORTEST {
        return Err(Error::Passphrase(format!("it must have at least {SHORTEST} bytes")).into());
    }
    Ok(passphrase)
}
