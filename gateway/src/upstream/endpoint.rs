//! Where a node serves sessions, as its registration says.

use std::net::IpAddr;

use http::Uri;
use poq_proto::v1;

use super::address::is_global;

/// Longest address, bytes.
const LONGEST: usize = 256;

/// A checked address of a node's stream API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    base: String,
    /// Digest of the key of its TLS certificate; None if a public authority signed the certificate.
    pub pin: Option<[u8; 32]>,
}

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node's address `{url}` is refused: {reason}")]
pub(crate) struct Refused {
    url: String,
    reason: &'static str,
}

impl Endpoint {
    /// The address in a registration.
    ///
    /// # Errors
    /// [`Refused`] unless it is an `https` address of a public host without user, query and fragment.
    /// `allow_private` admits all hosts.
    pub(crate) fn new(stream: &v1::Stream, allow_private: bool) -> Result<Self, Refused> {
        let refused = |reason| Refused {
            url: stream.url.chars().take(LONGEST).collect(),
            reason,
        };
        if stream.url.len() > LONGEST {
            return Err(refused("it is too long"));
        }
        let url: Uri = stream.url.parse().map_err(|_| refused("it is no URL"))?;
        if url.scheme_str() != Some("https") {
            return Err(refused("it must begin with https://"));
        }
        let authority = url.authority().ok_or_else(|| refused("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("it must not have a user"));
        }
        if url.query().is_some() || stream.url.contains('#') {
            return Err(refused("it must not have a query"));
        }
        let host = authority.host().trim_matches(['[', ']']);
        // The connector dials addresses without asking the resolver.
        if let Ok(address) = host.parse::<IpAddr>()
            && !allow_private
            && !is_global(address)
        {
            return Err(refused("it is not a public address"));
        }
        let pin = match stream.tls_spki_sha256.as_slice() {
            [] => None,
            pin => Some(
                pin.try_into()
                    .map_err(|_| refused("its pin is no SHA-256"))?,
            ),
        };
        Ok(Self {
            base: stream.url.trim_end_matches('/').to_owned(),
            pin,
        })
    }

    /// The address of a path below it.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str, allow_private: bool) -> Result<Endpoint, Refused> {
        let stream = v1::Stream {
            url: url.into(),
            ..v1::Stream::default()
        };
        Endpoint::new(&stream, allow_private)
    }

    #[test]
    fn only_public_https_addresses_are_taken() {
        for url in [
            "https://node.example",
            "https://8.8.8.8:9000/poq/",
            "https://[2606:4700::1]/",
        ] {
            assert!(endpoint(url, false).is_ok(), "{url}");
        }
        for url in [
            "",
            "node.example",
            "/path",
            "http://node.example",
            "file:///etc/passwd",
            "https://user@node.example",
            "https://node.example/?a=b",
            "https://node.example/#a",
            "https://127.0.0.1",
            "https://[::1]:443",
            "https://169.254.169.254/latest",
            &format!("https://{}.example", "a".repeat(256)),
        ] {
            assert!(endpoint(url, false).is_err(), "{url}");
        }
        assert!(endpoint("https://127.0.0.1:9000", true).is_ok());
        assert!(endpoint("http://127.0.0.1:9000", true).is_err());
    }

    #[test]
    fn paths_follow_the_base() {
        let endpoint = endpoint("https://node.example:1/base/", false).unwrap();
        assert_eq!(
            endpoint.at("/poq/v1/acks"),
            "https://node.example:1/base/poq/v1/acks"
        );
    }

    #[test]
    fn a_pin_has_the_length_of_a_digest() {
        let stream = |bytes: usize| v1::Stream {
            url: "https://node.example".into(),
            tls_spki_sha256: vec![7; bytes],
            ..v1::Stream::default()
        };
        assert_eq!(
            Endpoint::new(&stream(32), false).unwrap().pin,
            Some([7; 32])
        );
        assert_eq!(Endpoint::new(&stream(0), false).unwrap().pin, None);
        assert!(Endpoint::new(&stream(31), false).is_err());
    }
}
