//! A chain in memory with one operator, for the tests of both workers. It drops transactions, kills
//! the worker at a chosen moment, and records who would be slashed.
//!
//! Its clock is the worker's queries of the height, so that a slow machine misses no window.

pub mod crashes;
mod record;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::fake_node::{FakeNode, RpcResult};
pub use state::{CHAIN, Point, State};

/// Long enough for any machine, short enough to detect a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
pub async fn wait(holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("it takes too long");
}

/// The chain and the node that serves it.
pub struct FakeChain {
    node: FakeNode,
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
}

impl FakeChain {
    /// A chain in the state `state`.
    pub async fn start(state: State) -> Self {
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
    pub fn url(&self) -> &str {
        &self.node.url
    }

    /// The chain's state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Reports a moment that the chain cannot see; returns whether the worker lives on.
    pub fn reach(&self, point: Point) -> bool {
        let lives = self.state().reach(point);
        if !lives {
            self.killed.notify_one();
        }
        lives
    }

    /// Waits until the chain meets a condition.
    pub async fn until(&self, holds: impl Fn(&State) -> bool) {
        wait(|| holds(&self.state())).await;
    }

    /// Waits for the worker's death.
    pub async fn killed(&self) {
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
