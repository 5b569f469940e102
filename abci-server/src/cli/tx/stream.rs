//! The flags by which an inference node offers sessions.

use anyhow::ensure;
use poq_client::address_of;
use poq_proto::v1::Stream;

/// Bytes of a compressed secp256k1 key.
const KEY_BYTES: usize = 33;

/// A compressed secp256k1 key. clap would parse a plain `Vec` as a list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CompressedKey(pub(super) Vec<u8>);

/// Reads a key as `keys show` prints it.
pub(super) fn compressed_key(text: &str) -> Result<CompressedKey, String> {
    let key = hex::decode(text).unwrap_or_default();
    // Any prefix will do: the address is not used.
    match key.len() == KEY_BYTES && address_of(&key, "poq").is_ok() {
        true => Ok(CompressedKey(key)),
        false => Err(
            "expected a compressed secp256k1 key: 66 hex digits, as `poqd keys show` prints them"
                .into(),
        ),
    }
}

/// The digest of a certificate's public key; empty for none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spki(Vec<u8>);

fn spki(text: &str) -> Result<Spki, String> {
    match hex::decode(text) {
        Ok(digest) if matches!(digest.len(), 0 | 32) => Ok(Spki(digest)),
        _ => Err("expected a SHA-256 of 64 hex digits, or \"\" for none".into()),
    }
}

/// Flags of `update-node` for the sessions of an inference node.
#[derive(Debug, Default, clap::Args)]
pub(super) struct StreamFlags {
    /// Address at which users of sessions reach an inference node, for example https://node.example:8443.
    #[arg(long, value_name = "URL")]
    stream_url: Option<String>,
    /// Key that signs the receipts of sessions: 66 hex digits, as `poqd keys show` prints them.
    #[arg(long, value_name = "HEX", value_parser = compressed_key)]
    stream_key: Option<CompressedKey>,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER) of the address's certificate, 64 hex digits;
    /// "" if a public authority signed the certificate.
    #[arg(long, value_name = "HEX", value_parser = spki)]
    stream_tls_spki: Option<Spki>,
    /// Offer no more sessions. Those that are open go on.
    #[arg(long, conflicts_with_all = ["stream_url", "stream_key", "stream_tls_spki"])]
    no_stream: bool,
}

impl StreamFlags {
    /// What the node offers after the update; fields that are not given stay.
    ///
    /// # Errors
    /// If a node that offers no sessions is given only a part of what it needs for them.
    pub(super) fn applied_to(self, before: Option<Stream>) -> anyhow::Result<Option<Stream>> {
        let Self {
            stream_url,
            stream_key,
            stream_tls_spki,
            no_stream,
        } = self;
        if no_stream {
            return Ok(None);
        }
        if stream_url.is_none() && stream_key.is_none() && stream_tls_spki.is_none() {
            return Ok(before);
        }
        ensure!(
            before.is_some() || (stream_url.is_some() && stream_key.is_some()),
            "the node offers no sessions yet: give both --stream-url and --stream-key"
        );
        let before = before.unwrap_or_default();
        Ok(Some(Stream {
            url: stream_url.unwrap_or(before.url),
            key: stream_key.map_or(before.key, |key| key.0),
            tls_spki_sha256: stream_tls_spki.map_or(before.tls_spki_sha256, |digest| digest.0),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator of the curve.
    const KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn offered() -> Stream {
        Stream {
            url: "https://a".into(),
            key: hex::decode(KEY).unwrap(),
            tls_spki_sha256: vec![7; 32],
        }
    }

    #[test]
    fn fields_that_are_not_given_stay() {
        let flags = StreamFlags::default();
        assert_eq!(flags.applied_to(None).unwrap(), None);
        let flags = StreamFlags::default();
        assert_eq!(flags.applied_to(Some(offered())).unwrap(), Some(offered()));
        let flags = StreamFlags {
            stream_url: Some("https://b".into()),
            stream_tls_spki: Some(spki("").unwrap()),
            ..StreamFlags::default()
        };
        let expected = Stream {
            url: "https://b".into(),
            tls_spki_sha256: Vec::new(),
            ..offered()
        };
        assert_eq!(flags.applied_to(Some(offered())).unwrap(), Some(expected));
    }

    #[test]
    fn a_first_stream_needs_an_address_and_a_key() {
        let flags = |url: Option<&str>| StreamFlags {
            stream_url: url.map(str::to_owned),
            stream_key: Some(compressed_key(KEY).unwrap()),
            ..StreamFlags::default()
        };
        let error = flags(None).applied_to(None).unwrap_err().to_string();
        assert!(error.contains("--stream-url"), "{error}");
        let offered = flags(Some("https://a")).applied_to(None).unwrap().unwrap();
        assert_eq!(
            (offered.url.as_str(), offered.tls_spki_sha256.len()),
            ("https://a", 0)
        );
    }

    #[test]
    fn a_node_can_stop() {
        let flags = StreamFlags {
            no_stream: true,
            ..StreamFlags::default()
        };
        assert_eq!(flags.applied_to(Some(offered())).unwrap(), None);
    }

    #[test]
    fn keys_are_compressed_points_and_digests_have_32_bytes() {
        assert_eq!(compressed_key(KEY).unwrap().0, offered().key);
        let (not_a_point, short) = (format!("05{}", &KEY[2..]), &KEY[2..]);
        for bad in ["", "x", &not_a_point, short] {
            assert!(compressed_key(bad).is_err(), "{bad}");
        }
        assert_eq!(spki(&"07".repeat(32)), Ok(Spki(vec![7; 32])));
        for bad in ["07", "x", &"07".repeat(33)] {
            assert!(spki(bad).is_err(), "{bad}");
        }
    }
}
