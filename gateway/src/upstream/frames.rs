//! The events of an answer as they come from a node.

use std::io;

use futures::StreamExt;
use futures::stream::BoxStream;
use http_body_util::{BodyExt, BodyStream};
use hyper::body::Incoming;
use poq_client::session::Frame;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::Error;

/// Longest line. A read from the start can carry a whole answer in one event, with each byte escaped.
const LINE: usize = 1 << 22;

/// What a node sends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A part of the answer.
    Frame(Frame),
    /// A comment: the node is alive.
    Alive,
}

/// The events of one response. Dropping it closes the connection.
pub(crate) struct Frames {
    lines: BoxStream<'static, Result<String, LinesCodecError>>,
}

impl Frames {
    pub(super) fn new(body: Incoming) -> Self {
        let parts = BodyStream::new(body.map_err(io::Error::other)).filter_map(async |part| {
            let data = part.map(|frame| frame.into_data().ok());
            data.transpose()
        });
        let reader = StreamReader::new(Box::pin(parts));
        let lines = FramedRead::new(reader, LinesCodec::new_with_max_length(LINE));
        Self {
            lines: lines.boxed(),
        }
    }

    /// The next event; None once the node closed the stream. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if the connection broke, [`Error::Garbled`] for anything that is not a
    /// frame.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Error> {
        while let Some(line) = self.lines.next().await {
            let line = line.map_err(|error| match error {
                LinesCodecError::MaxLineLengthExceeded => {
                    Error::Garbled("a line is too long".into())
                }
                LinesCodecError::Io(error) => Error::Unreachable(error.to_string()),
            })?;
            if line.starts_with(':') {
                return Ok(Some(Event::Alive));
            }
            // Every frame is one line of data; an empty line ends it, other fields are not used.
            if let Some(data) = line.strip_prefix("data:") {
                let frame = serde_json::from_str(data)
                    .map_err(|error| Error::Garbled(format!("an event is no frame: {error}")))?;
                return Ok(Some(Event::Frame(frame)));
            }
        }
        Ok(None)
    }
}
