//! A client of the gateway's API that sees all of it: status, headers, each event, and how a response ends.

use std::error::Error;
use std::time::Duration;

use futures::TryStreamExt;
use http::header::{AUTHORIZATION, HOST};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, BodyStream, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::io::StreamReader;

use crate::fixture::PATIENCE;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Why there is no response, or not all of it.
pub(crate) type Broken = Box<dyn Error + Send + Sync>;

/// The gateway, with an API key.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// `host:port`.
    pub address: String,
    pub key: String,
}

impl Api {
    /// Asks for an answer. A stream's response is returned once it has begun.
    pub(crate) async fn chat(&self, body: &Value) -> Result<Response, Broken> {
        let request = Request::post("/v1/chat/completions");
        self.send(request, body.to_string()).await
    }

    /// Asks again, as OpenAI's clients do after a response that broke.
    pub(crate) async fn repeat(&self, body: &Value) -> Result<Response, Broken> {
        let request = Request::post("/v1/chat/completions").header("x-stainless-retry-count", 1);
        self.send(request, body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response, Broken> {
        self.send(Request::get(path), String::new()).await
    }

    /// Asks for a whole answer, and again as long as the gateway is away or has a passing reason to refuse.
    pub(crate) async fn answer(&self, body: &Value) -> Value {
        let answered = timeout(PATIENCE, async {
            loop {
                match self.chat(body).await {
                    Ok(response) if response.status == StatusCode::OK => {
                        return response.json().await.unwrap();
                    }
                    Ok(response) => {
                        let passes = response.headers.contains_key("retry-after");
                        assert!(passes, "{:?}", response.json().await);
                    }
                    Err(error) => eprintln!("the gateway is away: {error}"),
                }
                sleep(PAUSE).await;
            }
        });
        answered.await.expect("no answer; see the logs")
    }

    /// Waits until one of the gateway's metrics, which it renews each second, has a value as wanted.
    pub(crate) async fn metric(&self, name: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        let found = timeout(PATIENCE, async {
            loop {
                let metrics = self.get("/metrics").await.unwrap().text().await.unwrap();
                let mut lines = metrics.lines();
                let value = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
                if let Some(value) = value.filter(|value| wanted(*value)) {
                    return value;
                }
                sleep(PAUSE).await;
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("{name} did not become as expected; see the logs"))
    }

    async fn send(&self, request: Builder, body: String) -> Result<Response, Broken> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = request
            .header(HOST, &self.address)
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .body(Full::new(Bytes::from(body)))?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let frames = BodyStream::new(body.map_err(std::io::Error::other));
        let data = frames.try_filter_map(async |frame| Ok(frame.into_data().ok()));
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body: Box::new(StreamReader::new(Box::pin(data))),
        })
    }
}

/// A response whose body is still on its way.
pub(crate) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Box<dyn AsyncBufRead + Send + Unpin>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The rest of the body.
    pub(crate) async fn text(mut self) -> Result<String, Broken> {
        let mut text = String::new();
        self.body.read_to_string(&mut text).await?;
        Ok(text)
    }

    pub(crate) async fn json(self) -> Result<Value, Broken> {
        Ok(serde_json::from_str(&self.text().await?)?)
    }

    /// The data of the next event; None at the end of the body.
    pub(crate) async fn event(&mut self) -> Result<Option<String>, Broken> {
        loop {
            let mut line = String::new();
            if self.body.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            if let Some(data) = line.strip_prefix("data:") {
                return Ok(Some(data.trim().to_owned()));
            }
        }
    }
}
