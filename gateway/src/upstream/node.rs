//! The stream API of a session's node.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use poq_client::session::{
    Acknowledgement, Frame, Order, Refusal, RefusalCode, SIGNATURE_HEADER, SessionState,
    WHOLE_SESSION,
};
use poq_client::{Key, is_signature};
use poq_proto::{Call, Voucher, v1};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::address::{NotPublic, Resolver};
use super::{Endpoint, Event, Frames, tls};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a call without a stream may take, and an order until its accept.
const CALL: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(90);
/// Longest body of a response that is not a stream, bytes.
const BODY: usize = 1 << 16;
/// Longest message of a node that is passed on, characters.
const MESSAGE: usize = 300;

type Http = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Why a call to a node failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The node refused it.
    #[error("the node refused it: {} ({})", .0.message, name(.0.code))]
    Refused(Refusal),
    /// There was no answer, or the connection broke.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The answer did not come in time.
    #[error("the node did not answer in time")]
    Late,
    /// The answer is not one of the stream API.
    #[error("the node's answer makes no sense: {0}")]
    Garbled(String),
    /// A signature is not the node's.
    #[error("the node's answer is forged: {0}")]
    Forged(String),
    /// Its name leads to an address that nobody may dial.
    #[error("the node's address is forbidden: {0}")]
    Forbidden(String),
    /// A key of the gateway cannot sign.
    #[error(transparent)]
    Key(Arc<poq_client::Error>),
}

impl Error {
    /// A short name for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => name(refusal.code),
            Self::Unreachable(_) => "unreachable",
            Self::Late => "late",
            Self::Garbled(_) => "garbled",
            Self::Forged(_) => "forged",
            Self::Forbidden(_) => "forbidden",
            Self::Key(_) => "key",
        }
    }

    /// The code of a refusal.
    pub(crate) fn refusal(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }
}

fn name(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Malformed => "malformed",
        RefusalCode::Unauthorized => "unauthorized",
        RefusalCode::NotFound => "not_found",
        RefusalCode::TooLarge => "too_large",
        RefusalCode::Busy => "busy",
        RefusalCode::WrongNumber => "wrong_number",
        RefusalCode::WrongLog => "wrong_log",
        RefusalCode::Escrow => "escrow",
        RefusalCode::Closed => "closed",
        RefusalCode::Chat => "chat",
        RefusalCode::Quality => "quality",
        RefusalCode::Price => "price",
        RefusalCode::Failed => "failed",
    }
}

/// Who talks to whom about what.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The chain's id.
    pub chain_id: Arc<str>,
    /// The session.
    pub session: u64,
    /// Signs for the user of the session.
    pub session_key: Key,
    /// Signs for the node: compressed, as in the session's record.
    pub node_key: Vec<u8>,
}

/// An order that the node has taken.
pub(crate) struct Accepted {
    /// Orders that may be beyond the acknowledged ones at once.
    pub window: u32,
    /// The answer.
    pub frames: Frames,
}

/// A session's node.
pub(crate) struct Node {
    http: Http,
    endpoint: Endpoint,
    identity: Identity,
}

impl Node {
    /// The node at `endpoint`; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if TLS cannot be set up.
    pub(crate) fn new(
        endpoint: Endpoint,
        identity: Identity,
        allow_private: bool,
    ) -> Result<Self, Error> {
        let tls =
            tls::config(endpoint.pin).map_err(|error| Error::Unreachable(error.to_string()))?;
        let mut tcp = HttpConnector::new_with_resolver(Resolver { allow_private });
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self {
            http,
            endpoint,
            identity,
        })
    }

    /// Who talks to whom.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Orders an answer and waits until the node has taken the order.
    ///
    /// # Errors
    /// [`Error`]. After anything but [`Error::Refused`] the node may have taken it.
    pub(crate) async fn order(&self, voucher: &Voucher, chat: v1::Chat) -> Result<Accepted, Error> {
        let order = Order {
            voucher: voucher.into(),
            signature: self.signed(&voucher.digest(&self.identity.chain_id))?,
            chat,
        };
        within(CALL, async {
            let request = self.post("/poq/v1/orders", &order)?;
            let response = self.send(request).await?;
            let mut frames = Frames::new(response.into_body());
            loop {
                let frame = match frames.next().await? {
                    Some(Event::Frame(frame)) => frame,
                    Some(Event::Alive) => continue,
                    None => return Err(Error::Garbled("the stream has no accept".into())),
                };
                let Frame::Accept {
                    signature, window, ..
                } = frame
                else {
                    return Err(Error::Garbled(
                        "the stream does not begin with an accept".into(),
                    ));
                };
                self.check_accept(voucher, &signature)?;
                return Ok(Accepted { window, frames });
            }
        })
        .await
    }

    fn check_accept(&self, voucher: &Voucher, signature: &str) -> Result<(), Error> {
        let digest = voucher.accept_digest(&self.identity.chain_id);
        let signature = hex::decode(signature).unwrap_or_default();
        match is_signature(&self.identity.node_key, &digest, &signature) {
            true => Ok(()),
            false => Err(Error::Forged("the accept is not signed by the node".into())),
        }
    }

    /// Acknowledges answers.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn acknowledge(&self, voucher: &Voucher) -> Result<(), Error> {
        let body = Acknowledgement {
            voucher: voucher.into(),
            signature: self.signed(&voucher.digest(&self.identity.chain_id))?,
        };
        let request = self.post("/poq/v1/acks", &body)?;
        within(CALL, self.send(request)).await.map(drop)
    }

    /// Reads an answer from a byte offset on, also after its end.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn read(&self, number: u64, offset: u64) -> Result<Frames, Error> {
        let path = format!(
            "/poq/v1/orders/{}/{number}?offset={offset}",
            self.identity.session
        );
        let request = self.call(Method::GET, &path, Call::Read, number, offset)?;
        let response = within(CALL, self.send(request)).await?;
        Ok(Frames::new(response.into_body()))
    }

    /// Ends an answer; its receipt follows as usual.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn stop(&self, number: u64) -> Result<(), Error> {
        let path = format!("/poq/v1/orders/{}/{number}/stop", self.identity.session);
        let request = self.call(Method::POST, &path, Call::Stop, number, 0)?;
        within(CALL, self.send(request)).await.map(drop)
    }

    /// What the node knows of the session.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn state(&self) -> Result<SessionState, Error> {
        let path = format!("/poq/v1/sessions/{}", self.identity.session);
        let request = self.call(Method::GET, &path, Call::Read, WHOLE_SESSION, 0)?;
        within(CALL, async { json(self.send(request).await?).await }).await
    }

    fn signed(&self, digest: &[u8; 32]) -> Result<String, Error> {
        let signature = self.identity.session_key.sign_digest(digest);
        signature
            .map(hex::encode)
            .map_err(|error| Error::Key(error.into()))
    }

    fn post(&self, path: &str, body: &impl Serialize) -> Result<Request<Full<Bytes>>, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Garbled(error.to_string()))?;
        let request = Request::post(self.endpoint.at(path))
            .header("content-type", "application/json")
            .body(Full::from(body));
        request.map_err(|error| Error::Garbled(error.to_string()))
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        call: Call,
        number: u64,
        offset: u64,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let Identity {
            chain_id, session, ..
        } = &self.identity;
        let digest = call.digest(chain_id, *session, number, offset);
        let request = Request::builder()
            .method(method)
            .uri(self.endpoint.at(path))
            .header(SIGNATURE_HEADER, self.signed(&digest)?)
            .body(Full::default());
        request.map_err(|error| Error::Garbled(error.to_string()))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let sent = self.http.request(request).await;
        let response = sent.map_err(|error| failed(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let Ok(RefusalBody { mut error }) = json(response).await else {
            return Err(Error::Garbled(format!("status {status} without a refusal")));
        };
        error.message = error.message.chars().take(MESSAGE).collect();
        Err(Error::Refused(error))
    }
}

#[derive(serde::Deserialize)]
struct RefusalBody {
    error: Refusal,
}

async fn json<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, Error> {
    let body = Limited::new(response.into_body(), BODY).collect().await;
    let body = body.map_err(|error| Error::Unreachable(error.to_string()))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| Error::Garbled(error.to_string()))
}

async fn within<T>(
    time: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(time, call).await.unwrap_or(Err(Error::Late))
}

/// Why a request was not answered.
fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(refused) = inner.and_then(|inner| inner.downcast_ref::<NotPublic>()) {
            return Error::Forbidden(refused.to_string());
        }
        cause = error.source();
    }
    Error::Unreachable(causes(error))
}

/// An error and its causes: the client's own message says only that it failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
