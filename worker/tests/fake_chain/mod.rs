//! A chain in memory with one operator, for the tests of both workers: it forgets transactions,
//! kills the worker at a moment of choice, and says who would be slashed.
//!
//! Its time are the worker's looks at the height, so that a slow machine misses no window.

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

/// Long enough for any machine, short enough to see that a test hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
pub async fn wait(holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("it takes too long");
}

/// The chain and the node that tells of it.
pub struct FakeChain {
    node: FakeNode,
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
}

impl FakeChain {
    /// A chain on which `state` came to be.
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

    /// Where the node listens.
    pub fn url(&self) -> &str {
        &self.node.url
    }

    /// Everything that the chain knows.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Tells the chain of a moment that it cannot see, and whether the worker lives on.
    pub fn reach(&self, point: Point) -> bool {
        let lives = self.state().reach(point);
        if !lives {
            self.killed.notify_one();
        }
        lives
    }

    /// Waits until the chain is as it should be.
    pub async fn until(&self, holds: impl Fn(&State) -> bool) {
        wait(|| holds(&self.state())).await;
    }

    /// Waits for the worker's death.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }
}

/// A dead process gets no answer, whatever of it still runs.
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
