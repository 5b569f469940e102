//! An answer while it is generated, for any number of readers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::stream::{self, Stream};
use poq_client::session::{Frame, Refusal};
use poq_proto::v1::Leaf;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::measure;

/// The last frame of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// The answer is on the disk.
    Receipt(Box<Leaf>, String),
    /// The node cannot finish it.
    Failed(Refusal),
}

impl End {
    /// The frame.
    pub(super) fn frame(self) -> Frame {
        match self {
            Self::Receipt(leaf, signature) => Frame::Receipt {
                leaf: *leaf,
                signature,
            },
            Self::Failed(refusal) => Frame::Error(refusal),
        }
    }
}

#[derive(Clone, Default)]
struct Progress {
    bytes: usize,
    end: Option<End>,
}

/// An answer that is not in the log yet.
pub(super) struct Live {
    text: Mutex<String>,
    progress: watch::Sender<Progress>,
    since: Instant,
    /// Cancelled when the user ends the answer.
    pub(super) stop: CancellationToken,
}

impl Live {
    /// Without text.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            text: Mutex::default(),
            progress: watch::Sender::default(),
            since: Instant::now(),
            stop: CancellationToken::new(),
        })
    }

    /// Adds text.
    pub(super) fn push(&self, delta: &str) {
        let bytes = {
            let mut text = self.lock();
            if text.is_empty() && !delta.is_empty() {
                measure::first_text(self.since.elapsed());
            }
            text.push_str(delta);
            text.len()
        };
        self.progress.send_modify(|progress| progress.bytes = bytes);
    }

    /// The text so far.
    pub(super) fn text(&self) -> String {
        self.lock().clone()
    }

    /// Ends all readers' streams.
    pub(super) fn end(&self, end: End) {
        self.progress
            .send_modify(|progress| progress.end = Some(end));
    }

    /// The frames from a byte offset on, to the end. An offset inside a character, or after the end of
    /// the text, begins with the next one.
    pub(super) fn frames(self: Arc<Self>, offset: usize) -> impl Stream<Item = Frame> + use<> {
        let progress = self.progress.subscribe();
        let reader = Reader {
            live: self,
            progress,
            at: offset,
            is_over: false,
        };
        stream::unfold(reader, async |mut reader| {
            let frame = reader.next().await?;
            Some((frame, reader))
        })
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reader {
    live: Arc<Live>,
    progress: watch::Receiver<Progress>,
    at: usize,
    is_over: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Frame> {
        while !self.is_over {
            let Progress { bytes, end } = self.progress.borrow_and_update().clone();
            if bytes > self.at {
                let (frame, at) = text(&self.live.lock(), self.at);
                self.at = at;
                if frame.is_some() {
                    return frame;
                }
            }
            if let Some(end) = end {
                self.is_over = true;
                return Some(end.frame());
            }
            // The sender lives in `live`.
            self.progress.changed().await.ok()?;
        }
        None
    }
}

/// The text from an offset on, if there is any, and the offset after it.
pub(super) fn text(text: &str, offset: usize) -> (Option<Frame>, usize) {
    if offset >= text.len() {
        return (None, offset);
    }
    let start = text.ceil_char_boundary(offset);
    let delta = text.get(start..).filter(|delta| !delta.is_empty());
    let frame = delta.map(|delta| Frame::Text {
        offset: start as u64,
        delta: delta.to_owned(),
    });
    (frame, text.len())
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn frame(offset: u64, delta: &str) -> Frame {
        Frame::Text {
            offset,
            delta: delta.into(),
        }
    }

    #[tokio::test]
    async fn every_reader_gets_all_text_from_its_offset_and_the_end() {
        let live = Live::new();
        let end = End::Receipt(Box::default(), "00".into());
        live.push("né");
        let mut early = Box::pin(live.clone().frames(0));
        assert_eq!(early.next().await, Some(frame(0, "né")));
        assert!(early.next().now_or_never().is_none());
        live.push(" más");
        live.push("!");
        assert_eq!(early.next().await, Some(frame(3, " más!")));
        let mut late = Box::pin(live.clone().frames(5));
        assert_eq!(late.next().await, Some(frame(5, "ás!")));
        live.end(end.clone());
        for reader in [&mut early, &mut late] {
            assert_eq!(reader.next().await, Some(end.clone().frame()));
            assert_eq!(reader.next().await, None);
        }
        // An offset inside a character or behind the text.
        let rest: Vec<Frame> = live.clone().frames(2).collect().await;
        assert_eq!(rest, [frame(3, " más!"), end.clone().frame()]);
        let none: Vec<Frame> = live.clone().frames(99).collect().await;
        assert_eq!(none, [end.frame()]);
        assert_eq!(live.text(), "né más!");
    }
}
