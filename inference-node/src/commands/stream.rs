use std::path::Path;

use anyhow::Result;
use poq_worker::program::{OutputArg, table, tls};
use serde::Serialize;

use super::settings;
use crate::stream;

/// The name in a certificate of this program; callers go by its key.
pub(super) const NAME: &str = "poq-inference-node";
/// The certificate in a home whose config.toml names none.
pub(super) const CERTIFICATE: &str = "stream-certificate.pem";
/// The private key of that certificate.
pub(super) const PRIVATE_KEY: &str = "stream-key.pem";

/// What the chain's record of a node says about its sessions, and where it comes from.
#[derive(Serialize)]
struct Printed {
    /// Public key of accepts and receipts, hex.
    key: String,
    /// Digest of the certificate's public key, hex.
    tls_spki_sha256: String,
    certificate: String,
    private_key: String,
}

/// Prints what an operator puts on the chain to offer sessions. Makes a self-signed certificate, unless
/// config.toml names one or the home has one.
pub(super) fn stream(home: &Path, output: OutputArg) -> Result<()> {
    let (home, config) = settings(home)?;
    let key = home.key(&config.chain)?;
    let key = stream::signing_key(|purpose| key.mac(purpose))?;
    let file = |configured: Option<_>, name| configured.unwrap_or_else(|| home.path().join(name));
    let certificate = file(config.stream.certificate, CERTIFICATE);
    let private_key = file(config.stream.private_key, PRIVATE_KEY);
    if !certificate.exists() && !private_key.exists() {
        tls::make_certificate(NAME, &certificate, &private_key)?;
    }
    let printed = Printed {
        key: hex::encode(key.public_key()),
        tls_spki_sha256: hex::encode(tls::spki_sha256(&certificate)?),
        certificate: certificate.display().to_string(),
        private_key: private_key.display().to_string(),
    };
    let lines = [
        ("key", printed.key.clone()),
        ("tls spki sha256", printed.tls_spki_sha256.clone()),
        ("certificate", printed.certificate.clone()),
        ("private key", printed.private_key.clone()),
    ];
    output.output.print(&printed, table(&lines))?;
    Ok(())
}
