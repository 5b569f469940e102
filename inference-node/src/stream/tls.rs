//! TLS of the stream API.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use poq_worker::program::http_server::Transport;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}", path = path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// Certificate and key do not make a server.
    #[error("{certificate} and {key} cannot be used: {reason}", certificate = certificate.display(), key = key.display())]
    Unusable {
        /// The path of the certificate.
        certificate: PathBuf,
        /// The path of the key.
        key: PathBuf,
        /// The cause.
        reason: String,
    },
}

/// TLS with a certificate.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    /// SHA-256 of the certificate's public key (SubjectPublicKeyInfo).
    pub(super) spki_sha256: [u8; 32],
}

impl Tls {
    /// Reads a chain of certificates, the node's first, and its private key, both PEM.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Unusable`].
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let chain = CertificateDer::pem_slice_iter(&content(certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| file(certificate, &error))?;
        let secret =
            PrivateKeyDer::from_pem_slice(&content(key)?).map_err(|error| file(key, &error))?;
        let unusable = |error: rustls::Error| Error::Unusable {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            reason: error.to_string(),
        };
        let first = chain.first().ok_or_else(|| Error::File {
            path: certificate.to_owned(),
            reason: "it has no certificate".into(),
        })?;
        let parsed = ParsedCertificate::try_from(first).map_err(unusable)?;
        let spki_sha256 = Sha256::digest(parsed.subject_public_key_info()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(chain, secret)
            })
            .map_err(unusable)?;
        Ok(Self {
            acceptor: Arc::new(config).into(),
            spki_sha256,
        })
    }
}

impl Transport for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn open(&self, stream: TcpStream) -> io::Result<Self::Stream> {
        self.acceptor.accept(stream).await
    }
}

fn content(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| file(path, &error))
}

fn file(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
