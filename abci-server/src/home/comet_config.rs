//! Edits CometBFT's `config.toml` in place, because its comments are its documentation.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;

use poq_client::durable;
use toml_edit::{DocumentMut, Item, Value};

/// The reason why CometBFT's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Its cause.
        source: std::io::Error,
    },
    /// The file is malformed or lacks an option.
    #[error("{path} is not valid: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The position and the cause.
        reason: String,
    },
    /// An option has another type.
    #[error("`{option}` of CometBFT cannot be `{value}`: it is of type {kind}")]
    Value {
        /// Table and name in config.toml.
        option: String,
        /// The new value.
        value: String,
        /// Type of the current value.
        kind: &'static str,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Client(#[from] poq_client::Error),
    /// One of CometBFT's addresses is taken.
    #[error(
        "CometBFT cannot listen on {address} (`{option}` in {path}): {reason}",
        path = path.display()
    )]
    Listen {
        /// The configured address.
        address: String,
        /// Table and name in config.toml.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause and the remedy.
        reason: String,
    },
}

/// An open `config.toml`.
#[derive(Debug)]
pub(crate) struct CometConfig {
    path: PathBuf,
    document: DocumentMut,
}

impl CometConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Invalid`].
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read {
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

    /// Sets an existing option: `name`, or `table.name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file does not have the option, because it is from another version.
    pub(crate) fn set(&mut self, option: &str, value: impl Into<Value>) -> Result<(), Error> {
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

    /// Sets an existing option to a value given as text, of the same type as the old one. A list is
    /// written as in TOML, or as comma-separated entries.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file does not have the option, [`Error::Value`] for another type.
    pub(crate) fn set_text(&mut self, option: &str, text: &str) -> Result<(), Error> {
        let old = self.value(option)?;
        let value = match old {
            Value::String(_) => Some(Value::from(text)),
            Value::Array(_) => Some(list(text)),
            _ => text.parse::<Value>().ok(),
        };
        let kind = old.type_name();
        match value.filter(|value| value.type_name() == kind) {
            Some(value) => self.set(option, value),
            None => Err(Error::Value {
                option: option.to_owned(),
                value: text.to_owned(),
                kind,
            }),
        }
    }

    /// Returns all options.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(crate) fn values(&self) -> Result<toml::Table, Error> {
        let text = self.document.to_string();
        toml::from_str(&text).map_err(|error| Error::Invalid {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }

    fn value(&self, option: &str) -> Result<&Value, Error> {
        let mut item = Some(self.document.as_item());
        for part in option.split('.') {
            item = item.and_then(|item| item.get(part));
        }
        item.and_then(Item::as_value)
            .ok_or_else(|| self.missing(option))
    }

    /// Returns the text of an option.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file does not have the option.
    pub(crate) fn text(&self, option: &str) -> Result<&str, Error> {
        let value = self.value(option)?;
        value.as_str().ok_or_else(|| self.missing(option))
    }

    /// The URL of the RPC on this machine, `http://HOST:PORT`; `None` if the RPC is off.
    pub(crate) fn rpc_url(&self) -> Option<String> {
        let listen = self.text("rpc.laddr").ok()?;
        (!listen.is_empty()).then(|| url(listen))
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub(crate) fn save(&self) -> Result<(), Error> {
        Ok(durable::replace(
            &self.path,
            self.document.to_string().as_bytes(),
        )?)
    }

    /// Checks that CometBFT can listen on its addresses; its own error would be less clear.
    ///
    /// # Errors
    /// [`Error::Listen`] with the taken address.
    pub(crate) fn check_addresses(&self) -> Result<(), Error> {
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
            reason: format!(
                "it has no option `{option}`; `poqd config list` shows all options as comet.NAME"
            ),
        }
    }
}

/// Parses a TOML list or comma-separated entries.
fn list(text: &str) -> Value {
    let entries = || {
        let entries = text.split(',').map(str::trim);
        entries.filter(|entry| !entry.is_empty()).collect()
    };
    match text.parse::<Value>() {
        Ok(value @ Value::Array(_)) => value,
        _ => Value::Array(entries()),
    }
}

/// The URL of an address that a server on this machine listens on.
fn url(listen: &str) -> String {
    let address = listen.strip_prefix("tcp://").unwrap_or(listen);
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "26657"));
    match host {
        "" | "0.0.0.0" => format!("http://127.0.0.1:{port}"),
        "[::]" => format!("http://[::1]:{port}"),
        host => format!("http://{host}:{port}"),
    }
}

/// Checks that `tcp://HOST:PORT` is free. Other kinds of addresses are not checked.
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
    fn a_text_is_read_as_the_old_value_is() {
        let (_folder, mut config) =
            open("moniker = \"a\"\nsize = 1\nok = true\norigins = []\n\n[rpc]\nlist = [\"a\", ]\n");
        for (option, text, expected) in [
            ("moniker", "7", "moniker = \"7\""),
            ("size", "9", "size = 9"),
            ("ok", "false", "ok = false"),
            ("origins", "*", "origins = [\"*\"]"),
            ("origins", "", "origins = []"),
            ("rpc.list", "https://a, b", "list = [\"https://a\", \"b\"]"),
            ("rpc.list", "[\"a,b\"]", "list = [\"a,b\"]"),
        ] {
            config.set_text(option, text).unwrap();
            let document = config.document.to_string();
            assert!(document.contains(expected), "{document}");
        }
        for (option, text) in [("size", "many"), ("ok", "1"), ("size", "true")] {
            let error = config.set_text(option, text).unwrap_err().to_string();
            assert!(error.contains(option) && error.contains(text), "{error}");
        }
        let error = config.set_text("rpc.port", "1").unwrap_err().to_string();
        assert!(error.contains("rpc.port"), "{error}");
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

    #[test]
    fn the_rpc_is_reached_where_it_listens() {
        for (listen, expected) in [
            ("tcp://127.0.0.1:1", "http://127.0.0.1:1"),
            ("tcp://0.0.0.0:26657", "http://127.0.0.1:26657"),
            ("tcp://[::]:2", "http://[::1]:2"),
            ("tcp://:3", "http://127.0.0.1:3"),
            ("localhost:4", "http://localhost:4"),
        ] {
            assert_eq!(url(listen), expected);
        }
    }
}
