//! A chain in memory with one operator, for the tests of both workers. It drops transactions, kills
//! the worker at a chosen moment, and records who would be slashed.
//!
//! Its clock is the worker's queries of the height, so that a slow machine misses no window.

pub(crate) mod crashes;
mod record;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::fake_node::{FakeNode, RpcResult};
pub(crate) use state::{CHAIN, Point, State};

/// Long enough for any machine, short enough to detect a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
pub(crate) async fn wait(holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("it takes too long");
}

/// The chain and the node that serves it.
pub(crate) struct FakeChain {
    node: FakeNode,
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
}

impl FakeChain {
    /// A chain in the state `state`.
    pub(crate) async fn start(state: State) -> Self {
        let state = Arc::new(Mutex::new(state));
        let killed = Arc::new(Notify::new());
        let (shared, notify) = (state.clone(), killed.clone());
        let node = FakeNode::start(move |method, params| {
            answer(&mut shared.lock().unwrap(), &notify, method, params)
        })
        .await;
        Self {
            node,
            state,
            killed,
        }
    }

    /// The node's address.
    pub(crate) fn url(&self) -> &str {
        &self.node.url
    }

    /// The chain's state.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Reports a moment that the chain cannot see; returns whether the worker lives on.
    pub(crate) fn reach(&self, point: Point) -> bool {
        let lives = self.state().reach(point);
        if !lives {
            self.killed.notify_one();
        }
        lives
    }

    /// Waits until the chain meets a condition.
    pub(crate) async fn until(&self, holds: impl Fn(&State) -> bool) {
        wait(|| holds(&self.state())).await;
    }

    /// Waits for the worker's death.
    pub(crate) async fn killed(&self) {
        self.killed.notified().await;
    }
}

/// A dead process gets no answer, even if parts of it still run.
fn answer(state: &mut State, killed: &Notify, method: &str, params: Value) -> RpcResult {
    let dead = || Err("the process is dead".to_owned());
    if state.is_dead() {
        return dead();
    }
    let result = state.handle(method, params);
    if state.is_dead() {
        killed.notify_one();
        return dead();
    }
    result
}
