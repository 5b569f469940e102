//! Invariants over random histories of several sessions.

use poq_proto::v1::*;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any as arbitrary, prop, prop_assert, prop_assert_eq,
    prop_oneof, proptest,
};

use super::log::settle_item;
use super::support::{is_over, read_sequences};
use super::*;

/// An act in one block. Sessions are chosen by their position among all.
#[derive(Clone, Debug)]
enum Act {
    Open {
        nodes: u32,
        all: bool,
    },
    Close {
        session: usize,
    },
    Serve {
        session: usize,
        score: i32,
        length: usize,
    },
    Order {
        session: usize,
        ceiling: u64,
    },
    Settle {
        session: usize,
        claim: u64,
        amount_off: i64,
    },
    Reveal {
        session: usize,
    },
    Score,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let session = 0usize..4;
    prop_oneof![
        2 => (1u32..4, arbitrary::<bool>()).prop_map(|(nodes, all)| Act::Open { nodes, all }),
        1 => session.clone().prop_map(|session| Act::Close { session }),
        6 => (session.clone(), prop_oneof![Just(GOOD), Just(-GOOD)], 0usize..500)
            .prop_map(|(session, score, length)| Act::Serve { session, score, length }),
        2 => (session.clone(), 0u64..50_000).prop_map(|(session, ceiling)| Act::Order { session, ceiling }),
        3 => (session.clone(), prop_oneof![Just(0u64), 0u64..60_000], prop_oneof![9 => Just(0i64), 1 => -10_000i64..1_000_000])
            .prop_map(|(session, claim, amount_off)| Act::Settle { session, claim, amount_off }),
        6 => session.prop_map(|session| Act::Reveal { session }),
        6 => Just(Act::Score),
        1 => (1u64..8).prop_map(Act::Wait),
    ]
}

struct World {
    chain: Chain,
    logs: Vec<Log>,
}

impl World {
    fn log(&mut self, session: usize) -> Option<&mut Log> {
        let count = self.logs.len();
        self.logs.get_mut(session % count.max(1))
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Open { nodes, all } => {
                let scoring = match all {
                    true => SessionScoring::All,
                    false => SessionScoring::Sampled,
                };
                let message = MsgOpenSessions {
                    scoring: scoring.into(),
                    ..opening(&self.chain, *nodes)
                };
                let result = signed(&mut self.chain, |chain| &mut chain.user, &message);
                if result.code == 0 {
                    let first = response::<MsgOpenSessionsResponse>(&result).first_session;
                    self.logs
                        .extend((first..first + u64::from(*nodes)).map(Log::new));
                }
            }
            Act::Close { session } => {
                let Some(id) = self.log(*session).map(|log| log.session) else {
                    return;
                };
                let message = MsgCloseSessions {
                    user: self.chain.user.address.clone(),
                    sessions: vec![id],
                };
                signed(&mut self.chain, |chain| &mut chain.user, &message);
            }
            Act::Serve {
                session,
                score,
                length,
            } => {
                let Some(log) = self.log(*session) else {
                    return;
                };
                let answer = match length % 5 {
                    0 => String::new(),
                    _ => format!("{score} {}", "a".repeat(*length)),
                };
                log.serve("Why?", &answer);
            }
            Act::Order { session, ceiling } => {
                let Some(log) = self.log(*session) else {
                    return;
                };
                log.ordered += ceiling;
            }
            Act::Settle {
                session,
                claim,
                amount_off,
            } => {
                let Some(log) = self.log(*session) else {
                    return;
                };
                let mut voucher = log.voucher();
                voucher.amount = voucher.amount.saturating_add_signed(*amount_off);
                let item = settle_item(&voucher, *claim);
                self.by_node(*session, |operator| {
                    any(&MsgSettleSessions {
                        operator,
                        items: vec![item.clone()],
                    })
                });
            }
            Act::Reveal { session } => {
                let Some(id) = self.log(*session).map(|log| log.session) else {
                    return;
                };
                let record = self.chain.session(id);
                let Some(log) = self.log(*session) else {
                    return;
                };
                if record.status() != SessionStatus::Revealing {
                    return;
                }
                let drawn = log.drawn(&record);
                let items: Vec<_> = drawn
                    .iter()
                    .take(3)
                    .map(|number| log.leaf_item(*number))
                    .collect();
                self.by_node(*session, |operator| {
                    any(&MsgRevealLeaves {
                        operator,
                        items: items.clone(),
                    })
                });
            }
            Act::Score => self.score(),
            Act::Wait(blocks) => self.chain.blocks(*blocks),
        }
    }

    fn by_node(&mut self, session: usize, message: impl Fn(String) -> Any) {
        let Some(id) = self.log(session).map(|log| log.session) else {
            return;
        };
        let Some(node) = self.chain.session(id).node else {
            return;
        };
        let wallet = find(&mut self.chain.inference, &node.operator);
        let tx = sign(wallet, message(node.operator));
        self.chain.block(&[tx]);
    }

    /// Evaluators do all their duties.
    fn score(&mut self) {
        let mut txs = scores(&mut self.chain, TaskStatus::Committing);
        txs.extend(scores(&mut self.chain, TaskStatus::Revealing));
        self.chain.block(&txs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_sessions_conserves_money_and_ends(acts in prop::collection::vec(act(), 1..60)) {
        let params = Params { min_audit_rate: 300_000, ..session_params() };
        let mut world = World { chain: with_params(params, 3, 7), logs: Vec::new() };
        for act in &acts {
            world.act(act);
            world.chain.assert_money_is_conserved();
            read_sequences(&mut world.chain);
        }
        // Orders, settlement, draw, reveals, two committees with one excused each, finality and audits.
        world.chain.blocks(BLOCKS + 5 + 1 + 4 + 4 * (4 + 3 + 3) + 2 + 20);
        world.chain.assert_money_is_conserved();
        for session in world.chain.sessions() {
            prop_assert!(matches!(session.status(), SessionStatus::Final | SessionStatus::Refunded), "{session:?}");
        }
        prop_assert!(world.chain.tasks().iter().all(is_over));
        for role in [Role::Inference, Role::Evaluator] {
            prop_assert!(world.chain.nodes(role).iter().all(|node| node.open_duties == 0));
        }
        for node in world.chain.nodes(Role::Inference) {
            prop_assert_eq!(node.pending_duties, 0);
        }
    }
}
