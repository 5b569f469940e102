//! TLS of HTTP servers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use poq_client::durable;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::http_server::Transport;

/// Pause between two looks at the files of a certificate.
const LOOK: Duration = Duration::from_secs(60);

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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

/// TLS with a certificate. Clones are the same one.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    /// Of both files.
    digest: [u8; 32],
}

impl Tls {
    /// Reads a chain of certificates, the server's first, and its private key, both PEM.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Unusable`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        Ok(Self(Arc::new(Shared {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Loaded::read(certificate, key)?),
        })))
    }

    /// Reads the files again; returns whether they have changed. New connections use what is in them.
    ///
    /// # Errors
    /// As [`Self::read`]; then the last certificate stays.
    pub fn refresh(&self) -> Result<bool, Error> {
        let Shared {
            certificate,
            key,
            current,
        } = &*self.0;
        let digest = digest(&content(certificate)?, &content(key)?);
        if current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .digest
            == digest
        {
            return Ok(false);
        }
        let loaded = Loaded::read(certificate, key)?;
        *current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    /// Reads the files again every minute, until `shutdown`.
    pub async fn follow_files(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(LOOK) => {}
            }
            match self.refresh() {
                Ok(false) => {}
                Ok(true) => info!("the new certificate is used"),
                Err(error) => warn!("the old certificate is still used: {error}"),
            }
        }
    }
}

impl Loaded {
    fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let (public, private) = (content(certificate)?, content(key)?);
        let chain = parse(&public).map_err(|error| file(certificate, &error))?;
        let secret = PrivateKeyDer::from_pem_slice(&private).map_err(|error| file(key, &error))?;
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
        Ok(Self {
            acceptor: Arc::new(config).into(),
            digest: digest(&public, &private),
        })
    }
}

impl Transport for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn open(&self, stream: TcpStream) -> io::Result<Self::Stream> {
        let current = &self.0.current;
        let acceptor = {
            let current = current.read().unwrap_or_else(PoisonError::into_inner);
            current.acceptor.clone()
        };
        acceptor.accept(stream).await
    }
}

/// SHA-256 of a certificate's public key (SubjectPublicKeyInfo): what the chain's record of a node pins.
///
/// # Errors
/// If it is not a certificate.
pub fn spki_digest(certificate: &CertificateDer<'_>) -> Result<[u8; 32], rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Sha256::digest(parsed.subject_public_key_info()).into())
}

/// [`spki_digest`] of the first certificate in a PEM file.
///
/// # Errors
/// [`Error::File`].
pub fn spki_sha256(certificate: &Path) -> Result<[u8; 32], Error> {
    let chain = parse(&content(certificate)?).map_err(|error| file(certificate, &error))?;
    let first = chain.first().ok_or("it has no certificate");
    let first = first.map_err(|reason| file(certificate, &reason))?;
    spki_digest(first).map_err(|error| file(certificate, &error))
}

/// Writes a new self-signed certificate for a name, and its private key, for callers that know its
/// public key.
///
/// # Errors
/// [`Error::File`], also if one of the files exists.
pub fn make_certificate(name: &str, certificate: &Path, key: &Path) -> Result<(), Error> {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()])
        .map_err(|error| file(certificate, &error))?;
    let secret = made.signing_key.serialize_pem();
    durable::create(key, secret.as_bytes()).map_err(|error| file(key, &error))?;
    let public = made.cert.pem();
    durable::create(certificate, public.as_bytes()).map_err(|error| file(certificate, &error))
}

fn parse(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(pem).collect()
}

fn digest(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let length = (certificate.len() as u64).to_be_bytes();
    let digest = Sha256::new().chain_update(length);
    digest
        .chain_update(certificate)
        .chain_update(key)
        .finalize()
        .into()
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
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    use super::super::http_server::{self, Limits};
    use super::*;

    const NAME: &str = "server";

    /// What `GET /` answers to a client that trusts this certificate only.
    async fn asked(address: std::net::SocketAddr, trusted: &Path) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        let trusted = parse(&content(trusted).unwrap()).unwrap();
        roots.add(trusted[0].clone()).unwrap();
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
        make_certificate(NAME, &certificate, &key).unwrap();
        make_certificate(NAME, &other, &other_key).unwrap();
        // Never overwritten.
        assert!(make_certificate(NAME, &certificate, &key).is_err());
        assert_ne!(
            spki_sha256(&certificate).unwrap(),
            spki_sha256(&other).unwrap()
        );
        let tls = Tls::read(&certificate, &key).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let serving = http_server::serve_over(
            tls.clone(),
            listener,
            router,
            Limits::default(),
            CancellationToken::new(),
        );
        tokio::spawn(serving);
        let answer = asked(address, &certificate).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        assert!(asked(address, &other).await.is_err());

        // A half that does not fit yet changes nothing.
        assert!(!tls.refresh().unwrap());
        fs::copy(&other, &certificate).unwrap();
        assert!(tls.refresh().is_err());
        assert!(asked(address, &other).await.is_err());
        fs::copy(&other_key, &key).unwrap();
        assert!(tls.refresh().unwrap());
        assert!(asked(address, &other).await.unwrap().ends_with("here"));
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key, other, other_key] =
            ["c", "k", "oc", "ok"].map(|name| folder.path().join(name));
        make_certificate(NAME, &certificate, &key).unwrap();
        make_certificate(NAME, &other, &other_key).unwrap();
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
