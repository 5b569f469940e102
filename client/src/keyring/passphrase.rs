use std::fmt;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::Error;

/// Environment variable with the passphrase, for use without a terminal.
pub const PASSPHRASE_VARIABLE: &str = "POQ_KEYRING_PASSPHRASE";
/// Suffix of the environment variable with the path of a passphrase file instead.
const FILE_SUFFIX: &str = "_FILE";
/// Largest passphrase file in bytes; a larger one is probably the wrong file.
const LONGEST_FILE: u64 = 4096;
/// Fewest bytes of a new passphrase.
const SHORTEST: usize = 8;

/// Environment variable with the passphrase of an exported key, for use without a terminal.
pub const EXPORT_VARIABLE: &str = "POQ_EXPORT_PASSPHRASE";

/// The purpose of a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Opens an existing keyring.
    Unlock,
    /// Protects a new keyring; asked twice.
    Create,
    /// Opens an exported key.
    Import,
    /// Protects an exported key; asked twice.
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
    /// The passphrase as text.
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

/// Takes the passphrase from `POQ_KEYRING_PASSPHRASE` (`POQ_EXPORT_PASSPHRASE` for an exported
/// key), or from the file that the same variable with the suffix `_FILE` names, which may be a
/// descriptor (`/dev/fd/3`). Otherwise asks on the terminal, twice for a new passphrase.
pub fn ask(purpose: Purpose) -> crate::Result<Passphrase> {
    let variable = purpose.variable();
    if let Some(passphrase) = from_environment(variable, |name| std::env::var(name).ok())? {
        return checked(purpose, passphrase);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Passphrase(format!(
            "there is no terminal to prompt on; set {variable} or {variable}{FILE_SUFFIX}, or use the `test` backend"
        ))
        .into());
    }
    let passphrase = checked(purpose, prompt(purpose.prompt())?)?;
    if purpose.is_new() && prompt("Repeat the passphrase: ")?.0 != passphrase.0 {
        return Err(Error::Passphrase("the two passphrases differ".into()).into());
    }
    Ok(passphrase)
}

/// The passphrase from the environment: the variable's value, or the file's without its last line
/// ending.
fn from_environment(
    variable: &str,
    get: impl Fn(&str) -> Option<String>,
) -> crate::Result<Option<Passphrase>> {
    let file = format!("{variable}{FILE_SUFFIX}");
    match (get(variable), get(&file)) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.into())),
        (None, Some(path)) => read(Path::new(&path)).map(Some),
        (Some(_), Some(_)) => {
            let both = format!("{variable} and {file} are both set; unset one");
            Err(Error::Passphrase(both).into())
        }
    }
}

fn read(path: &Path) -> crate::Result<Passphrase> {
    // Large enough never to be reallocated: a freed buffer is not erased.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_FILE as usize + 1));
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_string(&mut text))
        .map_err(|source| crate::Error::file("read", path, source))?;
    if text.len() as u64 > LONGEST_FILE {
        let path = path.display();
        let long = format!("{path} has more than {LONGEST_FILE} bytes; is it the right file?");
        return Err(Error::Passphrase(long).into());
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Error::Passphrase(format!("{} is empty", path.display())).into());
    }
    Ok(line.to_owned().into())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> crate::Result<Option<String>> {
        let get = |name: &str| {
            let mut known = variables.iter().filter(|(known, _)| *known == name);
            known.next().map(|(_, value)| (*value).to_owned())
        };
        let found = from_environment(PASSPHRASE_VARIABLE, get)?;
        Ok(found.map(|passphrase| passphrase.as_str().to_owned()))
    }

    #[test]
    fn the_passphrase_may_be_in_a_file_that_a_variable_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        let name = path.to_str().unwrap();
        for (text, expected) in [
            ("correct horse", "correct horse"),
            ("correct horse\n", "correct horse"),
            (" correct horse \r\n", " correct horse "),
            ("two\nlines\n", "two\nlines"),
        ] {
            std::fs::write(&path, text).unwrap();
            let passphrase = found(&[("POQ_KEYRING_PASSPHRASE_FILE", name)]).unwrap();
            assert_eq!(passphrase.as_deref(), Some(expected));
        }
        assert_eq!(found(&[]).unwrap(), None);
        let direct = (PASSPHRASE_VARIABLE, "direct");
        assert_eq!(found(&[direct]).unwrap().as_deref(), Some("direct"));
    }

    #[test]
    fn a_file_without_a_passphrase_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        let name = path.to_str().unwrap();
        let variable = ("POQ_KEYRING_PASSPHRASE_FILE", name);
        let missing = found(&[variable]).unwrap_err().to_string();
        assert!(missing.contains(name), "{missing}");
        for (text, word) in [("\n".to_owned(), "empty"), ("x".repeat(5000), "4096")] {
            std::fs::write(&path, text).unwrap();
            let error = found(&[variable]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(word), "{error}");
        }
        let both = found(&[variable, (PASSPHRASE_VARIABLE, "x")]).unwrap_err();
        assert!(both.to_string().contains("both set"), "{both}");
    }
}
