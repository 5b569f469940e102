//! TLS of the stream API.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use poq_client::durable;
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

/// The name in a certificate of this program; callers go by its key.
const NAME: &str = "poq-inference-node";

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {reason}", path = path.display())]
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
pub(super) struct Tls(TlsAcceptor);

impl Tls {
    /// Reads a chain of certificates, the node's first, and its private key, both PEM.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Unusable`].
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let chain = chain(certificate)?;
        let secret =
            PrivateKeyDer::from_pem_slice(&content(key)?).map_err(|error| file(key, &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(chain, secret)
            })
            .map_err(|error| Error::Unusable {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Self(Arc::new(config).into()))
    }
}

impl Transport for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn open(&self, stream: TcpStream) -> io::Result<Self::Stream> {
        self.0.accept(stream).await
    }
}

/// SHA-256 of the public key (SubjectPublicKeyInfo) of the first certificate in a PEM file: what the
/// chain's record of the node pins.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn spki_sha256(certificate: &Path) -> Result<[u8; 32], Error> {
    let chain = chain(certificate)?;
    let first = chain.first().ok_or("it has no certificate");
    let first = first.map_err(|reason| file(certificate, &reason))?;
    let parsed = ParsedCertificate::try_from(first).map_err(|error| file(certificate, &error))?;
    Ok(Sha256::digest(parsed.subject_public_key_info()).into())
}

/// Writes a new self-signed certificate and its private key. The chain's record of the node pins its
/// public key, so no authority need sign it.
///
/// # Errors
/// [`Error::File`], also if one of the files exists.
pub(crate) fn make_certificate(certificate: &Path, key: &Path) -> Result<(), Error> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])
        .map_err(|error| file(certificate, &error))?;
    let secret = made.signing_key.serialize_pem();
    durable::create(key, secret.as_bytes()).map_err(|error| file(key, &error))?;
    let public = made.cert.pem();
    durable::create(certificate, public.as_bytes()).map_err(|error| file(certificate, &error))
}

fn chain(certificate: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(&content(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file(certificate, &error))
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use poq_worker::program::http_server::{self, Limits};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// What `GET /` answers to a client that trusts this certificate only.
    async fn asked(address: std::net::SocketAddr, trusted: &Path) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(chain(trusted).unwrap().remove(0)).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = connector.connect(name, stream).await?;
        let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_made_certificate_serves_who_trusts_it() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key, other, other_key] =
            ["c", "k", "oc", "ok"].map(|name| folder.path().join(name));
        make_certificate(&certificate, &key).unwrap();
        make_certificate(&other, &other_key).unwrap();
        // Never overwritten.
        assert!(make_certificate(&certificate, &key).is_err());
        assert_ne!(
            spki_sha256(&certificate).unwrap(),
            spki_sha256(&other).unwrap()
        );
        let tls = Tls::read(&certificate, &key).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let serving = http_server::serve_over(
            tls,
            listener,
            router,
            Limits::default(),
            CancellationToken::new(),
        );
        tokio::spawn(serving);
        let answer = asked(address, &certificate).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        assert!(asked(address, &other).await.is_err());
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key, other, other_key] =
            ["c", "k", "oc", "ok"].map(|name| folder.path().join(name));
        make_certificate(&certificate, &key).unwrap();
        make_certificate(&other, &other_key).unwrap();
        let error = Tls::read(&certificate, &other_key).err().unwrap();
        assert!(matches!(error, Error::Unusable { .. }), "{error}");
        for (certificate, key) in [(&key, &key), (&certificate, &certificate)] {
            assert!(Tls::read(certificate, key).is_err());
        }
        let missing = folder.path().join("missing");
        let error = spki_sha256(&missing).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
