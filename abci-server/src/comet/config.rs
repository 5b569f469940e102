//! CometBFT's `config.toml`, edited in place: its comments are its documentation.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;

use toml_edit::{DocumentMut, Item, Value};

use super::Error;

/// An open `config.toml`.
#[derive(Debug)]
pub struct CometConfig {
    path: PathBuf,
    document: DocumentMut,
}

impl CometConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Invalid`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let text = std::fs::read_to_string(&path).map_err(|source| Error::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        match text.parse() {
            Ok(document) => Ok(Self { path, document }),
            Err(error) => Err(Error::Invalid {
                path,
                reason: error.to_string(),
            }),
        }
    }

    /// Sets an option that the file has: `name`, or `table.name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file has no such option: it belongs to another version.
    pub fn set(&mut self, option: &str, value: impl Into<Value>) -> Result<(), Error> {
        let mut item: Option<&mut Item> = Some(self.document.as_item_mut());
        for part in option.split('.') {
            item = item.and_then(|item| item.get_mut(part));
        }
        match item.and_then(Item::as_value_mut) {
            Some(old) => {
                let decor = old.decor().clone();
                *old = value.into();
                *old.decor_mut() = decor;
                Ok(())
            }
            None => Err(self.missing(option)),
        }
    }

    /// The text of an option.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file has no such option.
    pub fn text(&self, option: &str) -> Result<&str, Error> {
        let mut item = Some(self.document.as_item());
        for part in option.split('.') {
            item = item.and_then(|item| item.get(part));
        }
        item.and_then(Item::as_str)
            .ok_or_else(|| self.missing(option))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self) -> Result<(), Error> {
        std::fs::write(&self.path, self.document.to_string()).map_err(|source| Error::File {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }

    /// Checks that CometBFT can listen where it is told to: it would say less clearly why not.
    ///
    /// # Errors
    /// [`Error::Listen`] names the taken address.
    pub fn check_addresses(&self) -> Result<(), Error> {
        for option in ["rpc.laddr", "p2p.laddr"] {
            let address = self.text(option)?;
            check_free(address).map_err(|reason| Error::Listen {
                address: address.to_owned(),
                option,
                path: self.path.clone(),
                reason,
            })?;
        }
        Ok(())
    }

    fn missing(&self, option: &str) -> Error {
        Error::Invalid {
            path: self.path.clone(),
            reason: format!("it has no option `{option}`"),
        }
    }
}

/// Says why `tcp://HOST:PORT` cannot be listened on. Other kinds of addresses are not checked.
fn check_free(address: &str) -> Result<(), String> {
    let Some(endpoint) = address.strip_prefix("tcp://") else {
        return Ok(());
    };
    match TcpListener::bind(endpoint) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err("another process uses the port; stop that process or choose another port".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The name.\nmoniker = \"vm\" # short\n\n[rpc]\n# Where.\nladdr = \
        \"tcp://127.0.0.1:0\"\n[p2p]\nladdr = \"tcp://127.0.0.1:0\"\npex = true\n";

    fn open(text: &str) -> (tempfile::TempDir, CometConfig) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let config = CometConfig::open(path).unwrap();
        (folder, config)
    }

    #[test]
    fn edits_keep_the_comments() {
        let (folder, mut config) = open(TEXT);
        config.set("moniker", "node").unwrap();
        config.set("p2p.pex", false).unwrap();
        config.save().unwrap();
        let written = std::fs::read_to_string(folder.path().join("config.toml")).unwrap();
        let expected = TEXT.replace("\"vm\"", "\"node\"").replace("true", "false");
        assert_eq!(written, expected);
    }

    #[test]
    fn unknown_options_are_named() {
        let (_folder, mut config) = open(TEXT);
        for option in ["rpc.port", "moniker.a", "mempool.size", "rpc"] {
            let error = config.set(option, 1).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
        }
    }

    #[test]
    fn a_taken_port_is_named_with_its_option() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", taken.local_addr().unwrap());
        let (_folder, mut config) = open(TEXT);
        config.check_addresses().unwrap();
        config.set("p2p.laddr", &address).unwrap();
        let error = config.check_addresses().unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("p2p.laddr"),
            "{error}"
        );
        assert!(error.contains("another process"), "{error}");
    }
}
