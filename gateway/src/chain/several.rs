use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::{BoxFuture, join_all};
use poq_client::receipt::SignedState;
use poq_client::{Error, Key, Result};
use poq_judge::Panel;
use poq_proto::v1::{Model, MsgOpenSessions, Node, Params, Session};
use tokio::time::timeout;
use tracing::warn;

use super::{Chain, Rpc, Transfer};

/// How long a node may take to tell its height.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a node that failed is asked only if no other one answers.
const REST: Duration = Duration::from_secs(15);
/// Blocks by which a node may be behind the newest height.
const BEHIND: u64 = 2;

/// The chain by the RPC of several of its nodes: the newest height counts, and the first node that
/// answers and is not behind is asked. A failed query is asked elsewhere; a failed transaction is not
/// repeated, since it may be in a block.
pub(crate) struct Several {
    nodes: Vec<One>,
    newest: AtomicU64,
}

struct One {
    url: String,
    chain: Arc<dyn Chain>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    height: u64,
    rests_until: Option<Instant>,
}

impl Several {
    /// The chain with the id `chain_id` at `urls`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub(crate) fn new(urls: &[String], key: &Key, chain_id: &str) -> Result<Self> {
        let node = |url: &String| -> Result<(String, Arc<dyn Chain>)> {
            Ok((url.clone(), Arc::new(Rpc::new(url, key.clone(), chain_id)?)))
        };
        urls.iter()
            .map(node)
            .collect::<Result<Vec<_>>>()
            .map(Self::of)
    }

    fn of(nodes: Vec<(String, Arc<dyn Chain>)>) -> Self {
        let one = |(url, chain)| One {
            url,
            chain,
            state: Mutex::default(),
        };
        Self {
            nodes: nodes.into_iter().map(one).collect(),
            newest: AtomicU64::new(0),
        }
    }

    /// All nodes, the best first.
    fn in_order(&self) -> Vec<&One> {
        let newest = self.newest.load(Ordering::Relaxed);
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| {
            let State { height, .. } = *node.lock();
            (node.rests(), height.saturating_add(BEHIND) < newest)
        });
        nodes
    }

    async fn ask<'a, T>(
        &'a self,
        query: impl Fn(&'a dyn Chain) -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        let mut failure = None;
        for node in self.in_order() {
            match query(&*node.chain).await {
                Err(error) if error.is_retryable() => {
                    node.rest(&error);
                    failure = Some(error);
                }
                answer => return answer,
            }
        }
        Err(failure.unwrap_or_else(no_node))
    }

    async fn send<'a, T>(
        &'a self,
        message: impl FnOnce(&'a dyn Chain) -> BoxFuture<'a, Result<T>> + Send,
    ) -> Result<T> {
        let node = self.in_order().into_iter().next().ok_or_else(no_node)?;
        let sent = message(&*node.chain).await;
        if let Err(error) = &sent
            && error.is_retryable()
        {
            node.rest(error);
        }
        sent
    }
}

impl One {
    fn rests(&self) -> bool {
        let until = self.lock().rests_until;
        until.is_some_and(|until| until > Instant::now())
    }

    fn rest(&self, error: &Error) {
        if !self.rests() {
            warn!("a node of the chain fails, and is asked later again: {error}");
        }
        self.lock().rests_until = Some(Instant::now() + REST);
    }

    async fn height(&self) -> Result<u64> {
        let late = || Error::Unreachable {
            url: self.url.clone(),
            reason: format!("no answer within {} s", PATIENCE.as_secs()),
        };
        let told = timeout(PATIENCE, self.chain.height()).await;
        match told.unwrap_or_else(|_| Err(late())) {
            Ok(height) => {
                *self.lock() = State {
                    height,
                    rests_until: None,
                };
                Ok(height)
            }
            Err(error) => {
                self.rest(&error);
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_node() -> Error {
    Error::Unreachable {
        url: "chain.node".into(),
        reason: "it names no node".into(),
    }
}

#[async_trait]
impl Chain for Several {
    fn id(&self) -> Arc<str> {
        self.nodes
            .first()
            .map_or_else(|| "".into(), |node| node.chain.id())
    }

    /// Asks all nodes that do not rest, or all if all do.
    async fn height(&self) -> Result<u64> {
        let mut asked: Vec<_> = self.nodes.iter().filter(|node| !node.rests()).collect();
        if asked.is_empty() {
            asked = self.nodes.iter().collect();
        }
        let (mut newest, mut failure) = (None, None);
        for told in join_all(asked.iter().map(|node| node.height())).await {
            match told {
                Ok(height) => newest = newest.max(Some(height)),
                // As long as one node may answer later, the others do not matter.
                Err(error) if error.is_retryable() => failure = Some(error),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        let newest = newest.ok_or_else(|| failure.unwrap_or_else(no_node))?;
        self.newest.store(newest, Ordering::Relaxed);
        Ok(newest)
    }

    async fn address(&self) -> Result<Arc<str>> {
        self.ask(|chain| chain.address()).await
    }

    async fn params(&self) -> Result<Params> {
        self.ask(|chain| chain.params()).await
    }

    async fn models(&self) -> Result<Vec<Model>> {
        self.ask(|chain| chain.models()).await
    }

    async fn panel(&self, model: &str) -> Result<Panel> {
        self.ask(|chain| chain.panel(model)).await
    }

    async fn session(&self, id: u64) -> Result<Option<Session>> {
        self.ask(|chain| chain.session(id)).await
    }

    async fn signed_session(&self, id: u64) -> Result<Option<SignedState>> {
        self.ask(|chain| chain.signed_session(id)).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.ask(|chain| chain.sessions()).await
    }

    async fn node(&self, operator: &str) -> Result<Option<Node>> {
        self.ask(|chain| chain.node(operator)).await
    }

    async fn transfers(&self, height: u64, denom: &str) -> Result<Vec<Transfer>> {
        self.ask(|chain| chain.transfers(height, denom)).await
    }

    async fn open(&self, message: MsgOpenSessions) -> Result<u64> {
        self.send(|chain| chain.open(message)).await
    }

    async fn close(&self, sessions: Vec<u64>) -> Result<()> {
        self.send(|chain| chain.close(sessions)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::played::PlayedChain;

    /// Two nodes; only the second one shows a session.
    async fn two() -> (Several, [PlayedChain; 2]) {
        let nodes = [PlayedChain::default(), PlayedChain::default()];
        open(&nodes[1]).await.unwrap();
        let named = |node: &PlayedChain| -> (String, Arc<dyn Chain>) {
            ("http://played".into(), Arc::new(node.clone()))
        };
        (Several::of(nodes.iter().map(named).collect()), nodes)
    }

    async fn open(chain: &dyn Chain) -> Result<u64> {
        let message = MsgOpenSessions {
            nodes: 1,
            ..MsgOpenSessions::default()
        };
        chain.open(message).await
    }

    /// Which node was asked.
    async fn asked(several: &Several) -> usize {
        several.sessions().await.unwrap().len()
    }

    #[tokio::test]
    async fn the_first_node_is_asked_while_it_answers_and_again_later() {
        let (several, [first, second]) = two().await;
        assert_eq!(asked(&several).await, 0);
        first.go_away(true);
        assert_eq!(asked(&several).await, 1);
        first.go_away(false);
        assert_eq!(asked(&several).await, 1, "it rests");
        second.go_away(true);
        assert_eq!(asked(&several).await, 0, "it is better than none");
        first.go_away(true);
        assert!(several.sessions().await.unwrap_err().is_retryable());
        assert!(several.height().await.unwrap_err().is_retryable());
        first.go_away(false);
        several.nodes[0].lock().rests_until = None;
        several.height().await.unwrap();
        assert_eq!(asked(&several).await, 0);
    }

    #[tokio::test]
    async fn a_node_that_is_behind_is_not_asked_and_the_newest_height_counts() {
        let (several, [first, _]) = two().await;
        first.halt(true);
        for height in 1..=BEHIND {
            assert_eq!(several.height().await.unwrap(), height);
        }
        assert_eq!(asked(&several).await, 0);
        assert_eq!(several.height().await.unwrap(), BEHIND + 1);
        assert_eq!(asked(&several).await, 1);
    }

    #[tokio::test]
    async fn a_failed_transaction_is_not_repeated_elsewhere() {
        let (several, [first, second]) = two().await;
        first.go_away(true);
        assert!(open(&several).await.is_err());
        assert_eq!(second.records().len(), 1);
        open(&several).await.unwrap();
        assert_eq!(second.records().len(), 2);
    }
}
