//! An answer in progress, for any number of readers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::Failure;
use crate::money::Ending;
use crate::telemetry::{Clock, Sent};

/// A whole answer's proof and price.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// Where the answer comes from.
    pub origin: Origin,
    /// The receipt.
    pub ending: Ending,
    /// What the client pays, base units.
    pub charged: u64,
}

/// What a reader gets next.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// More text.
    Text(String),
    /// The end.
    Done(Done),
    /// The answer cannot be finished.
    Failed(Failure),
}

/// Where an answer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Session and number.
    pub order: (u64, u64),
    /// Address of the node's operator.
    pub operator: String,
}

#[derive(Default)]
struct Content {
    origin: Option<Origin>,
    text: String,
    end: Option<Result<Done, Failure>>,
    /// How the order went, if the first node took it.
    sent: Option<Sent>,
    /// When the frame came that the client waits for: the one with the first text, and for a whole answer
    /// the one with the receipt.
    frame: Option<Instant>,
}

/// An answer in progress.
pub(crate) struct Answer {
    content: Mutex<Content>,
    /// Its receivers are the readers.
    changed: watch::Sender<()>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            content: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }
}

impl Answer {
    /// An answer that has ended.
    pub(crate) fn ended(text: String, done: Done) -> Arc<Self> {
        let answer = Self::default();
        *answer.lock() = Content {
            origin: Some(done.origin.clone()),
            text,
            end: Some(Ok(done)),
            ..Content::default()
        };
        Arc::new(answer)
    }

    /// Another reader, from the start of the text.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        Reader {
            changed: self.changed.subscribe(),
            answer: self.clone(),
            offset: 0,
            clock: None,
            only: None,
        }
    }

    /// A reader of the text that one order gets, and of none that another node writes in its place.
    pub(super) fn reader_of(self: &Arc<Self>, order: (u64, u64)) -> Reader {
        Reader {
            only: Some(order),
            ..self.reader()
        }
    }

    /// A node has taken the order; text of an earlier node is dropped. `sent` is None if it is not the
    /// first one that was asked.
    pub(super) fn taken(&self, origin: Origin, sent: Option<Sent>) {
        let mut content = self.lock();
        content.text.clear();
        content.origin = Some(origin);
        (content.sent, content.frame) = (sent, None);
        drop(content);
        self.changed.send_replace(());
    }

    /// Takes a part of the text that begins at a byte `offset`, up to `most` bytes of text. What came
    /// before may come again after a resumption, but never another text: then it returns false.
    pub(super) fn push(&self, offset: u64, delta: &str, most: u32) -> bool {
        let mut content = self.lock();
        let Some(more) = continuation(&content.text, offset, delta) else {
            return false;
        };
        if content.text.len() + more.len() > most as usize {
            return false;
        }
        content.text.push_str(more);
        content.frame.get_or_insert_with(Instant::now);
        drop(content);
        self.changed.send_replace(());
        true
    }

    /// The receipt of a whole answer has come.
    pub(super) fn complete(&self) {
        self.lock().frame = Some(Instant::now());
    }

    /// The end; only the first one counts.
    pub(super) fn end(&self, end: Result<Done, Failure>) {
        self.lock().end.get_or_insert(end);
        self.changed.send_replace(());
    }

    /// All text so far.
    pub(super) fn text(&self) -> String {
        self.lock().text.clone()
    }

    /// Bytes of text so far.
    pub(super) fn len(&self) -> usize {
        self.lock().text.len()
    }

    /// Returns once nobody reads.
    pub(super) async fn abandoned(&self) {
        self.changed.closed().await;
    }

    /// Whether somebody reads.
    pub(super) fn is_read(&self) -> bool {
        self.changed.receiver_count() > 0
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of a part continues the text; None if the part contradicts the text or leaves a gap.
fn continuation<'a>(text: &str, offset: u64, delta: &'a str) -> Option<&'a str> {
    let known = text.get(usize::try_from(offset).ok()?..)?;
    let again = known.len().min(delta.len());
    (known.get(..again)? == delta.get(..again)?).then(|| delta.get(again..))?
}

/// One reader of an answer.
pub(crate) struct Reader {
    answer: Arc<Answer>,
    changed: watch::Receiver<()>,
    offset: usize,
    clock: Option<Clock>,
    /// The only order whose text is read.
    only: Option<(u64, u64)>,
}

impl Reader {
    /// Measures how long its client waits.
    pub(super) fn timed(self, clock: Clock) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }

    /// Goes on at a byte of the text that is there. False if that is beyond its end or within a
    /// character.
    pub(crate) fn skip(&mut self, offset: usize) -> bool {
        let is_there = self.answer.lock().text.is_char_boundary(offset);
        if is_there {
            self.offset = offset;
        }
        is_there
    }

    /// Waits until a node has taken the order.
    ///
    /// # Errors
    /// [`Failure`] if none does.
    pub(crate) async fn origin(&mut self) -> Result<Origin, Failure> {
        loop {
            self.changed.mark_unchanged();
            {
                let content = self.answer.lock();
                match (&content.origin, &content.end) {
                    (_, Some(Err(failure))) => return Err(failure.clone()),
                    (Some(origin), _) => return Ok(origin.clone()),
                    (None, _) => {}
                }
            }
            self.wait().await?;
        }
    }

    /// The next part. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Part {
        loop {
            self.changed.mark_unchanged();
            if let Some(part) = self.ready() {
                return part;
            }
            if let Err(failure) = self.wait().await {
                return Part::Failed(failure);
            }
        }
    }

    /// The whole answer: its text and proof.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn whole(mut self) -> Result<(String, Done), Failure> {
        loop {
            self.changed.mark_unchanged();
            {
                let content = self.answer.lock();
                match &content.end {
                    Some(Ok(done)) => {
                        if let Some(clock) = self.clock.take() {
                            clock.stop(content.sent, content.frame);
                        }
                        return Ok((content.text.clone(), done.clone()));
                    }
                    Some(Err(failure)) => return Err(failure.clone()),
                    None => {}
                }
            }
            self.wait().await?;
        }
    }

    fn ready(&mut self) -> Option<Part> {
        let content = self.answer.lock();
        let order = content.origin.as_ref().map(|origin| origin.order);
        if self.only.is_some() && self.only != order {
            return Some(Part::Failed(Failure::Lost));
        }
        if let Some(more) = content
            .text
            .get(self.offset..)
            .filter(|more| !more.is_empty())
        {
            self.offset = content.text.len();
            if let Some(clock) = self.clock.take() {
                clock.stop(content.sent, content.frame);
            }
            return Some(Part::Text(more.to_owned()));
        }
        Some(match content.end.clone()? {
            Ok(done) => Part::Done(done),
            Err(failure) => Part::Failed(failure),
        })
    }

    async fn wait(&mut self) -> Result<(), Failure> {
        // The reader itself keeps the answer, and with it the sender.
        self.changed.changed().await.map_err(|_| Failure::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_reader_gets_the_whole_text() {
        let answer = Arc::new(Answer::default());
        let mut early = answer.reader();
        let origin = Origin {
            order: (1, 2),
            operator: "node".into(),
        };
        answer.taken(origin, None);
        assert_eq!(early.origin().await.unwrap().order, (1, 2));
        assert!(answer.push(0, "Hel", 5));
        assert!(matches!(early.next().await, Part::Text(text) if text == "Hel"));
        assert!(answer.push(1, "ello", 5));
        assert!(!answer.push(5, "!", 5), "it is too long");
        let mut late = answer.reader();
        answer.end(Err(Failure::Lost));
        answer.end(Err(Failure::Busy));
        for (reader, expected) in [(&mut early, "lo"), (&mut late, "Hello")] {
            assert!(matches!(reader.next().await, Part::Text(text) if text == expected));
            assert!(matches!(reader.next().await, Part::Failed(Failure::Lost)));
        }
        assert!(answer.is_read());
        drop((early, late));
        answer.abandoned().await;
        assert!(!answer.is_read());
    }

    #[tokio::test]
    async fn a_reader_of_an_order_reads_no_other_text() {
        let answer = Arc::new(Answer::default());
        let from = |number| Origin {
            order: (1, number),
            operator: "node".into(),
        };
        answer.taken(from(2), None);
        assert!(answer.push(0, "Hé", 9));
        let mut reader = answer.reader_of((1, 2));
        assert_eq!(
            [0, 1, 2, 3, 4].map(|at| reader.skip(at)),
            [true, true, false, true, false]
        );
        assert!(reader.skip(1));
        assert!(matches!(reader.next().await, Part::Text(text) if text == "é"));
        answer.taken(from(3), None);
        assert!(answer.push(0, "Hé, another", 99));
        assert!(matches!(reader.next().await, Part::Failed(Failure::Lost)));
    }

    #[test]
    fn a_part_continues_the_text_or_is_refused() {
        for (offset, delta, expected) in [
            (2, "x", Some("x")),
            (0, "éx", Some("x")),
            (0, "é", Some("")),
            (2, "", Some("")),
            (0, "ex", None),
            (1, "x", None),
            (3, "x", None),
            (u64::MAX, "x", None),
        ] {
            assert_eq!(
                continuation("é", offset, delta),
                expected,
                "{offset} {delta}"
            );
        }
    }
}
