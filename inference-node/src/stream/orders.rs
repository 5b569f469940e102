//! The desk of the stream API: takes orders, has them answered, and tells what became of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, BoxStream, StreamExt};
use poq_client::Key;
use poq_client::session::{
    Acknowledgement, Frame, Order, Refusal, RefusalCode, SessionState, WHOLE_SESSION,
};
use poq_proto::v1::{self, SessionStatus};
use poq_proto::{Call, Leaf, Voucher};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::answer::{self, End, Live};
use super::auth::{authorize, signature};
use super::chat;
use super::journal::{Journal, Kept, Signed, Write};
use super::measure;
use super::pay::Answered;
use super::records::Records;
use super::refusals::{closed, failed, malformed, refusal, refused, unknown_order};
use super::serve::Serving;
use super::session::{Session, State};
use super::window::Window;
use crate::compute::Compute;

/// Frames of an answer.
pub(super) type Frames = BoxStream<'static, Frame>;

/// Who signs as the node, and on which chain.
pub(super) struct Identity {
    /// Id of the chain.
    pub chain_id: String,
    /// The key of accepts and receipts.
    pub key: Key,
}

/// The sessions of this node.
pub(super) struct Desk {
    pub(super) identity: Identity,
    pub(super) journal: Journal,
    pub(super) records: Records,
    pub(super) compute: Compute,
    pub(super) limits: chat::Limits,
    /// Ends all answers.
    pub(super) shutdown: CancellationToken,
    /// Where answers are scored, if they are.
    watch: Option<mpsc::Sender<Answered>>,
    sessions: Mutex<HashMap<u64, Arc<Session>>>,
}

impl Desk {
    /// A desk that goes on with the sessions of the journal.
    ///
    /// # Errors
    /// Those of the journal.
    pub(super) async fn new(
        identity: Identity,
        (journal, kept): (Journal, Vec<Kept>),
        records: Records,
        compute: Compute,
        limits: chat::Limits,
        shutdown: CancellationToken,
        watch: Option<mpsc::Sender<Answered>>,
    ) -> Result<Arc<Self>, super::journal::Error> {
        let mut sessions = HashMap::new();
        for kept in kept {
            let window = journal.window(&kept.record.user).await?;
            let window = Window::new(window.unwrap_or_default());
            let session = Session::kept(kept, window);
            sessions.insert(session.record.id, Arc::new(session));
        }
        Ok(Arc::new(Self {
            identity,
            journal,
            records,
            compute,
            limits,
            shutdown,
            watch,
            sessions: Mutex::new(sessions),
        }))
    }

    /// Takes an order: the frames of its answer, from the accept on.
    ///
    /// # Errors
    /// Refusals; the number is then still free.
    pub(super) async fn order(self: &Arc<Self>, order: Order) -> Result<Frames, Refusal> {
        let signed = parsed(&order.voucher, &order.signature)?;
        let record = self.authorized(signed).await?;
        if signed.voucher.is_bare() {
            return Err(malformed("a voucher that orders nothing goes to /acks"));
        }
        if record.status() != SessionStatus::Open {
            return Err(closed());
        }
        let asked = chat::check(&order.chat, &record, &self.limits)?;
        if asked.request != signed.voucher.request {
            return Err(malformed("the voucher orders another chat"));
        }
        let session = self.opened(&record).await?;
        let (serving, accepted, accept) = {
            let mut state = session.lock();
            if state.ending.is_some() || state.pay.is_too_low {
                return Err(closed());
            }
            if state.is_broken {
                return Err(failed());
            }
            let window = state.window.size();
            let checked = state.log.check_order(&signed.voucher, &asked, window);
            checked.map_err(refused)?;
            let place = self.compute.reserve().map_err(|busy| {
                let message = busy.to_string();
                refusal(RefusalCode::Busy, message)
            })?;
            let accept = Accept {
                window,
                queue_position: place.ahead().try_into().unwrap_or(u32::MAX),
            };
            let live = Live::new();
            let number = state.log.order(asked);
            state.live.insert(number, live.clone());
            self.keep_window(&session, state.take(signed));
            let request = chat::request(
                &order.chat,
                self.limits.max_tokens,
                self.compute.recommended(),
            );
            let written = self.journal.write(Write::Order {
                chat: Box::new(order.chat),
                signed,
            });
            let (accepted, told) = oneshot::channel();
            let serving = Serving {
                session: session.clone(),
                number,
                live,
                place,
                request,
                written,
                accepted,
            };
            (serving, told, accept)
        };
        let live = serving.live.clone();
        // In its own task: a client that leaves ends nothing.
        tokio::spawn(self.clone().serve(serving));
        accepted.await.unwrap_or_else(|_| Err(failed()))?;
        measure::accepted();
        let frame = self.accept(&signed.voucher, accept)?;
        let frames = stream::once(async move { frame }).chain(live.frames(0));
        Ok(frames.boxed())
    }

    /// The frames of an answer from a byte offset on; `by` is the signature of the call.
    ///
    /// # Errors
    /// Refusals.
    pub(super) async fn read(
        &self,
        (id, number): (u64, u64),
        offset: u64,
        by: &[u8; 64],
    ) -> Result<Frames, Refusal> {
        let record = self.record(id).await?;
        let digest = Call::Read.digest(&self.identity.chain_id, id, number, offset);
        authorize(&record, &digest, by)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let session = self.find(id).ok_or_else(unknown_order)?;
        let receipt = {
            let state = session.lock();
            if let Some(live) = state.live.get(&number) {
                return Ok(live.clone().frames(offset).boxed());
            }
            state.log.receipt(number).ok_or_else(unknown_order)?
        };
        let served = self.journal.served(id, number).await;
        let served = served
            .map_err(|error| refusal(RefusalCode::Failed, error.to_string()))?
            .ok_or_else(unknown_order)?;
        let (text, _) = answer::text(&served.answer, offset);
        let end = self.signed(id, &receipt).frame();
        Ok(stream::iter(text.into_iter().chain([end])).boxed())
    }

    /// Ends an answer; `by` is the signature of the call.
    ///
    /// # Errors
    /// Refusals.
    pub(super) async fn stop(
        &self,
        (id, number): (u64, u64),
        by: &[u8; 64],
    ) -> Result<SessionState, Refusal> {
        let record = self.record(id).await?;
        let digest = Call::Stop.digest(&self.identity.chain_id, id, number, 0);
        authorize(&record, &digest, by)?;
        let session = self.find(id).ok_or_else(unknown_order)?;
        let state = session.lock();
        if let Some(live) = state.live.get(&number) {
            live.stop.cancel();
        } else if number >= state.log.next() {
            return Err(unknown_order());
        }
        Ok(state.public())
    }

    /// What this node knows of a session; `by` is the signature of the call.
    ///
    /// # Errors
    /// Refusals.
    pub(super) async fn look(&self, id: u64, by: &[u8; 64]) -> Result<SessionState, Refusal> {
        let record = self.record(id).await?;
        let digest = Call::Read.digest(&self.identity.chain_id, id, WHOLE_SESSION, 0);
        authorize(&record, &digest, by)?;
        match self.find(id) {
            Some(session) => Ok(session.lock().public()),
            None => Ok(self.unopened(&record).await?.lock().public()),
        }
    }

    /// Keeps an acknowledgement.
    ///
    /// # Errors
    /// Refusals.
    pub(super) async fn acknowledge(
        &self,
        acknowledgement: Acknowledgement,
    ) -> Result<SessionState, Refusal> {
        let Acknowledgement { voucher, signature } = acknowledgement;
        let signed = parsed(&voucher, &signature)?;
        let record = self.authorized(signed).await?;
        if !signed.voucher.is_bare() {
            return Err(malformed("a voucher with a request goes to /orders"));
        }
        if !is_running(&record) {
            return Err(closed());
        }
        let session = self.find(record.id).ok_or_else(unknown_order)?;
        let (written, public) = {
            let mut state = session.lock();
            let checked = state.log.check_acknowledgement(&signed.voucher);
            checked.map_err(refused)?;
            self.keep_window(&session, state.take(signed));
            let written = self.journal.write(Write::Acknowledge(signed));
            (written, state.public())
        };
        written.stored().await.map_err(|reason| {
            error!(session = record.id, "{reason}");
            failed()
        })?;
        Ok(public)
    }

    fn keep_window(&self, session: &Session, grown: Option<u32>) {
        if let Some(size) = grown {
            let user = session.record.user.clone();
            // Losing it costs the account a few smaller windows.
            let _ = self.journal.write(Write::Window { user, size });
        }
    }

    /// The record of the session whose key has signed the voucher.
    async fn authorized(&self, signed: Signed) -> Result<Arc<v1::Session>, Refusal> {
        let record = self.record(signed.voucher.session).await?;
        let digest = signed.voucher.digest(&self.identity.chain_id);
        authorize(&record, &digest, &signed.signature)?;
        Ok(record)
    }

    async fn record(&self, id: u64) -> Result<Arc<v1::Session>, Refusal> {
        let found = self.records.find(id).await.map_err(|error| {
            error!(session = id, %error, "cannot read a session");
            refusal(
                RefusalCode::Failed,
                "this node cannot read the chain; try again later",
            )
        })?;
        let is_signed_here = |record: &Arc<v1::Session>| {
            let node = record.node.as_ref();
            node.is_some_and(|node| node.key == self.identity.key.public_key())
        };
        let record = found.filter(is_signed_here).ok_or_else(|| {
            let message = "this node has no such session: look up the session's node on the chain";
            refusal(RefusalCode::NotFound, message)
        })?;
        let kept = self.find(id);
        if kept.is_some_and(|kept| kept.record.node != record.node) {
            error!(
                session = id,
                "the journal has another session with this number: if the chain was restarted from genesis \
                 under the same id, delete stream.db in the data folder and restart"
            );
            return Err(failed());
        }
        Ok(record)
    }

    /// The session, which is opened in the journal unless it is there.
    async fn opened(&self, record: &v1::Session) -> Result<Arc<Session>, Refusal> {
        if let Some(session) = self.find(record.id) {
            return Ok(session);
        }
        let session = Arc::new(self.unopened(record).await?);
        Ok(match self.sessions().entry(record.id) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                // An order cannot be stored without it.
                let _ = self.journal.write(Write::Open(Box::new(record.clone())));
                entry.insert(session).clone()
            }
        })
    }

    async fn unopened(&self, record: &v1::Session) -> Result<Session, Refusal> {
        let unreadable = |reason: super::journal::Error| {
            error!(session = record.id, "{reason}");
            failed()
        };
        let is_over = self.journal.is_over(record.id).await;
        if is_over.map_err(unreadable)? {
            return Err(closed());
        }
        let window = self.journal.window(&record.user).await;
        let window = Window::new(window.map_err(unreadable)?.unwrap_or_default());
        Ok(Session::new(record.clone(), window))
    }

    /// A session that has had an order.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Session>> {
        self.sessions().get(&id).cloned()
    }

    /// All sessions that have had an order.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.sessions().values().cloned().collect()
    }

    /// Forgets a session that is over.
    pub(super) fn forget(&self, id: u64) {
        self.sessions().remove(&id);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, voucher: &Voucher, accept: Accept) -> Result<Frame, Refusal> {
        let digest = voucher.accept_digest(&self.identity.chain_id);
        let signature = self.identity.key.sign_digest(&digest);
        Ok(Frame::Accept {
            signature: hex::encode(signature.map_err(|_| failed())?),
            window: accept.window,
            queue_position: accept.queue_position,
        })
    }

    /// The signed receipt. Signatures are deterministic, so a receipt has one.
    fn signed(&self, session: u64, receipt: &Leaf) -> End {
        let digest = receipt.receipt_digest(&self.identity.chain_id, session);
        match self.identity.key.sign_digest(&digest) {
            Ok(signature) => End::Receipt(Box::new(receipt.into()), hex::encode(signature)),
            Err(reason) => {
                error!(session, "{reason}");
                End::Failed(failed())
            }
        }
    }

    /// Ends the stream of an order that is finished.
    pub(super) fn tell(&self, session: u64, state: &mut State, number: u64) {
        let Some(receipt) = state.log.receipt(number) else {
            return;
        };
        measure::receipt(receipt.finish);
        if let Some(live) = state.live.remove(&number) {
            live.end(self.signed(session, &receipt));
        }
        if let Some(watch) = &self.watch {
            // One that finds no place is not scored.
            let _ = watch.try_send((session, number));
        }
    }
}

struct Accept {
    window: u32,
    queue_position: u32,
}

/// Whether the session takes acknowledgements.
fn is_running(record: &v1::Session) -> bool {
    matches!(
        record.status(),
        SessionStatus::Open | SessionStatus::Closing
    )
}

fn parsed(voucher: &v1::Voucher, by: &str) -> Result<Signed, Refusal> {
    let voucher = Voucher::try_from(voucher).map_err(|wrong| malformed(wrong.to_string()))?;
    let signature = signature(by)?;
    Ok(Signed { voucher, signature })
}

#[cfg(test)]
mod tests;
