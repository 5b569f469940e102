//! Kills a node and its user between any two writes, and compares what is left of both.
//!
//! The node is the real desk with its journal. The user keeps what the gateway keeps: a voucher before it
//! is sent, leaf and charge before its client gets the answer's end. A killed side is what is on its disk.

mod node;
mod user;

use rand::{Rng, SeedableRng, rngs::StdRng};

use node::Node;
use user::User;

/// Kills of both sides, or as many as `POQ_CRASH_RUNS` says.
const KILLS: u64 = 700;
/// What happens in a history besides kills.
const STEPS: usize = 40;

/// Who was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Node,
    User,
}

type Step = Result<(), Death>;

/// A node and its user.
struct Pair {
    random: StdRng,
    node: Node,
    user: User,
    kills: u64,
}

impl Pair {
    async fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            node: Node::new().await,
            user: User::default(),
            kills: 0,
        }
    }

    /// Orders, answers and acknowledgements in any order; each may be the last of either life.
    async fn live(&mut self) {
        for _ in 0..STEPS {
            if self.random.gen_ratio(1, 3) {
                self.node.life.ends_after(self.random.gen_range(0..9));
            }
            if self.random.gen_ratio(1, 3) {
                self.user.ends_after(self.random.gen_range(0..9));
            }
            let random = &mut self.random;
            let step = match random.gen_range(0..10) {
                0..5 => self.user.order(&self.node, random).await,
                5..8 => self.user.finish(&self.node, random).await,
                8 => self.user.acknowledge(&self.node).await,
                _ => self.user.clear_up(&self.node).await,
            };
            if let Err(death) = step {
                self.bury(death).await;
            }
        }
    }

    /// Starts who was killed again.
    async fn bury(&mut self, death: Death) {
        self.kills += 1;
        match death {
            Death::Node => {
                self.node.restart().await;
                self.user.lose_streams();
                self.node.check_exposure();
            }
            Death::User => self.user.restart(),
        }
    }

    /// Until everything is answered and acknowledged, without further kills.
    async fn rest(&mut self) {
        self.bury(Death::User).await;
        self.bury(Death::Node).await;
        while let Err(death) = self.user.come_to_rest(&self.node).await {
            self.bury(death).await;
        }
    }
}

#[tokio::test]
async fn no_kill_costs_a_leaf_or_a_second_charge() {
    let most = std::env::var("POQ_CRASH_RUNS").map_or(KILLS, |kills| kills.parse().unwrap());
    let (mut kills, mut seed) = (0, 0);
    while kills < most {
        let mut pair = Pair::new(seed).await;
        pair.live().await;
        pair.rest().await;
        pair.user.check(&pair.node).await;
        pair.node.check_settlement().await;
        kills += pair.kills;
        seed += 1;
    }
}
