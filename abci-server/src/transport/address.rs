use std::fmt;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest path of a Unix socket in bytes: Linux's `sun_path` without its final zero.
pub const MAX_SOCKET_PATH: usize = 107;

/// The address of an ABCI server: `tcp://HOST:PORT` or `unix://PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host and port; port 0 lets the operating system choose.
    Tcp(String),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether other machines could reach it. A host name that does not resolve counts as reachable.
    pub fn is_reachable_from_outside(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Tcp(endpoint) => endpoint.to_socket_addrs().map_or(true, |mut addresses| {
                addresses.any(|address| !address.ip().to_canonical().is_loopback())
            }),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid =
            || format!("`{text}` is not an ABCI address; expected tcp://HOST:PORT or unix:///PATH");
        if let Some(path) = text.strip_prefix("unix://") {
            return match path {
                "" => Err(invalid()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let endpoint = text.strip_prefix("tcp://").ok_or_else(invalid)?;
        match endpoint.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(endpoint.to_owned()))
            }
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => write!(f, "tcp://{endpoint}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "tcp://127.0.0.1:26658",
            "tcp://[::1]:0",
            "tcp://localhost:1",
            "unix:///tmp/abci.sock",
            "unix://relative.sock",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_loopback_and_sockets_are_out_of_reach_of_other_machines() {
        let is_open = |text: &str| {
            let address: Address = text.parse().unwrap();
            address.is_reachable_from_outside()
        };
        for private in [
            "tcp://127.0.0.1:1",
            "tcp://127.9.9.9:1",
            "tcp://[::1]:1",
            "tcp://[::ffff:127.0.0.1]:1",
            "tcp://localhost:1",
            "unix:///tmp/a",
        ] {
            assert!(!is_open(private), "{private}");
        }
        for open in ["tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://10.0.0.1:1"] {
            assert!(is_open(open), "{open}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "127.0.0.1:26658",
            "tcp://",
            "tcp://127.0.0.1",
            "tcp://:1",
            "tcp://host:65536",
            "unix://",
            "http://127.0.0.1:1",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains("expected tcp://"), "{error}");
        }
    }
}
