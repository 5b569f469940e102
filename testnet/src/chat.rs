//! Asks an OpenAI-compatible server, and reads its answer as it comes.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt, BodyStream, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_util::io::StreamReader;

/// A chat with an OpenAI-compatible server on this machine.
#[derive(Clone, Debug)]
pub struct Chat {
    /// `host:port`.
    pub address: String,
    /// API key, if the server wants one.
    pub key: Option<String>,
    /// Language model.
    pub model: String,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its text.
    pub text: String,
    /// From the request to the first text.
    pub first_token: Duration,
    /// From the request to the end.
    pub whole: Duration,
    /// Id of its receipt, if the server is a gateway.
    pub receipt: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection failed.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// The server.
        address: String,
        /// The cause.
        reason: String,
    },
    /// The server refused the request.
    #[error("{address} answered with status {status}: {body}")]
    Refused {
        /// The server.
        address: String,
        /// HTTP status.
        status: u16,
        /// Its explanation.
        body: String,
    },
    /// The stream ended with an error, or too early.
    #[error("the answer of {address} was cut: {reason}")]
    Cut {
        /// The server.
        address: String,
        /// The cause.
        reason: String,
    },
}

impl Chat {
    /// Asks one question, and calls `on_text` with each part of the answer. The connection is made before the
    /// clock starts.
    ///
    /// # Errors
    /// [`Failure`] without a whole answer.
    pub async fn ask(
        &self,
        question: &str,
        max_tokens: Option<u32>,
        on_text: impl FnMut(&str),
    ) -> Result<Said, Failure> {
        let connected = TcpStream::connect(&self.address).await;
        let stream = connected.map_err(|error| self.unreachable(error))?;
        stream
            .set_nodelay(true)
            .map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(error))?;
        tokio::spawn(connection);
        let request = self
            .request(question, max_tokens)
            .map_err(|error| self.unreachable(error))?;
        let start = Instant::now();
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        self.read(response, start, on_text).await
    }

    fn request(
        &self,
        question: &str,
        max_tokens: Option<u32>,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let body = json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": question }],
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": true,
        });
        let mut request = Request::post("/v1/chat/completions")
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        request.body(Full::from(body.to_string()))
    }

    async fn read(
        &self,
        response: Response<Incoming>,
        start: Instant,
        mut on_text: impl FnMut(&str),
    ) -> Result<Said, Failure> {
        let frames = BodyStream::new(response.into_body().map_err(std::io::Error::other));
        let data = frames.try_filter_map(async |frame| Ok(frame.into_data().ok()));
        let mut lines = StreamReader::new(Box::pin(data)).lines();
        let (mut text, mut receipt, mut first_token) = (String::new(), None, None);
        while let Some(line) = lines.next_line().await.map_err(|error| self.cut(error))? {
            let Some(event) = line.strip_prefix("data: ") else {
                continue;
            };
            if event == "[DONE]" {
                let whole = start.elapsed();
                return Ok(Said {
                    text,
                    first_token: first_token.unwrap_or(whole),
                    whole,
                    receipt,
                });
            }
            let event: Value = serde_json::from_str(event).map_err(|error| self.cut(error))?;
            if let Some(error) = event.get("error") {
                return Err(self.cut(error));
            }
            let part = event.pointer("/choices/0/delta/content");
            if let Some(part) = part.and_then(Value::as_str).filter(|part| !part.is_empty()) {
                first_token.get_or_insert_with(|| start.elapsed());
                on_text(part);
                text += part;
            }
            let named = event.pointer("/poq/receipt").and_then(Value::as_str);
            receipt = named.map(Into::into).or(receipt);
        }
        Err(self.cut("the connection was closed"))
    }

    async fn refused(&self, response: Response<Incoming>) -> Failure {
        let status = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(body) => Failure::Refused {
                address: self.address.clone(),
                status,
                body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            },
            Err(error) => self.unreachable(error),
        }
    }

    fn unreachable(&self, error: impl ToString) -> Failure {
        Failure::Unreachable {
            address: self.address.clone(),
            reason: error.to_string(),
        }
    }

    fn cut(&self, reason: impl ToString) -> Failure {
        Failure::Cut {
            address: self.address.clone(),
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn asked(response: String) -> (Result<Said, Failure>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let chat = Chat {
            address: listener.local_addr().unwrap().to_string(),
            key: Some("secret".into()),
            model: "m".into(),
        };
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(String::from_utf8_lossy(&request[..length]).contains("Bearer secret"));
            stream.write_all(response.as_bytes()).await.unwrap();
        };
        let mut parts = Vec::new();
        let (said, ()) = tokio::join!(
            chat.ask("Why?", None, |part| parts.push(part.to_owned())),
            serve
        );
        (said, parts)
    }

    fn stream(events: &[&str]) -> String {
        let body: String = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    const PART: &str = r#"{"choices": [{"delta": {"content": "Paris"}}]}"#;

    #[tokio::test]
    async fn an_answer_comes_in_parts_with_its_receipt() {
        let last = r#"{"choices": [{"delta": {}}], "poq": {"receipt": "7-1"}}"#;
        let (said, parts) = asked(stream(&[PART, PART, last, "[DONE]"])).await;
        let said = said.unwrap();
        assert_eq!(parts, ["Paris", "Paris"]);
        assert_eq!(
            (said.text.as_str(), said.receipt.as_deref()),
            ("ParisParis", Some("7-1"))
        );
    }

    #[tokio::test]
    async fn a_cut_answer_is_not_a_whole_one() {
        for events in [
            vec![PART],
            vec![PART, r#"{"error": {"message": "node lost"}}"#, "[DONE]"],
        ] {
            let (said, _) = asked(stream(&events)).await;
            assert!(matches!(said, Err(Failure::Cut { .. })), "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_has_its_status_and_reason() {
        let response = "HTTP/1.1 503 Unavailable\r\ncontent-length: 5\r\n\r\nlater";
        let (said, _) = asked(response.into()).await;
        assert!(matches!(said, Err(Failure::Refused { status: 503, body, .. }) if body == "later"));
    }
}
