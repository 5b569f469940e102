//! Random interleavings of requests, receipts, failures, restarts and session ends: credit + charged −
//! returned = what was paid in.

use std::collections::BTreeMap;

use poq_proto::Leaf;
use poq_proto::v1::{self, Finish, SessionPayment, SessionSettlement, SessionStatus};
use proptest::prelude::*;
use rusqlite::Connection;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::money::{Ending, given_back};
use crate::store::charges::Charge;
use crate::store::orders;
use crate::store::sessions::{self, Set, State};

const SESSIONS: u64 = 3;
const KEY: i64 = 9;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request with a ceiling, in one of the sessions.
    Ask(u64, u64),
    /// One in progress goes to a session with higher prices.
    Raise(u64, u64),
    /// The receipt of one in progress comes.
    Receive(u64, u64),
    /// One in progress fails; its receipt is fetched at the gateway's own cost.
    Fail(u64, u64),
    TopUp(u64),
    /// The gateway is killed and starts again.
    Restart,
    /// The chain ends a session; the seed says how.
    End(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let pair = (any::<u64>(), any::<u64>());
    prop_oneof![
        8 => pair.prop_map(|(a, b)| Step::Ask(a, b)),
        1 => pair.prop_map(|(a, b)| Step::Raise(a, b)),
        6 => pair.prop_map(|(a, b)| Step::Receive(a, b)),
        2 => pair.prop_map(|(a, b)| Step::Fail(a, b)),
        2 => (0..3_000_u64).prop_map(Step::TopUp),
        1 => Just(Step::Restart),
        1 => pair.prop_map(|(a, b)| Step::End(a, b)),
    ]
}

/// An answer in progress.
struct Open {
    session: u64,
    number: u64,
    ceiling: u64,
    hold: Hold,
}

#[derive(Default)]
struct Session {
    next: u64,
    /// Price and charge of each number that has its receipt.
    ended: BTreeMap<u64, (u64, u64)>,
    record: Option<v1::Session>,
}

struct World {
    runtime: Runtime,
    folder: tempfile::TempDir,
    credits: Option<Arc<Credits>>,
    group: i64,
    open: Vec<Open>,
    sessions: BTreeMap<u64, Session>,
    paid_in: u64,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        let (credits, group) = runtime.block_on(credits(&folder, 2_000));
        let world = Self {
            runtime,
            folder,
            credits: Some(credits),
            group,
            open: Vec::new(),
            sessions: (1..=SESSIONS).map(|id| (id, Session::default())).collect(),
            paid_in: 2_000,
        };
        world.write(|db| {
            let set = Set {
                id: 0,
                nonce: vec![1],
                public_key: vec![2],
                model: "m".into(),
                tier: "sampled".into(),
                created: 0,
            };
            let set = sessions::add_set(db, &set)?;
            for id in 1..=SESSIONS {
                let record = v1::Session {
                    id,
                    ..v1::Session::default()
                };
                sessions::put(db, set, &record, State::Open)?;
            }
            Ok(())
        });
        world
    }

    fn credits(&self) -> &Arc<Credits> {
        self.credits.as_ref().unwrap()
    }

    fn write(&self, change: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static) {
        let written = self.credits().store.write(change);
        self.runtime.block_on(written).unwrap();
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Ask(pick, seed) => self.ask(1 + pick % SESSIONS, 1 + seed % 900),
            Step::Raise(pick, more) => {
                if let Some(open) = pick_one(&mut self.open, pick) {
                    let ceiling = open.ceiling + more % 300;
                    if open.hold.cover(ceiling).is_ok() {
                        open.ceiling = ceiling;
                    }
                }
            }
            Step::Receive(pick, seed) => {
                if let Some(open) = self.close(pick) {
                    let price = seed % (open.ceiling + 1);
                    self.finish(&open, price, price);
                }
            }
            Step::Fail(pick, seed) => {
                if let Some(open) = self.close(pick) {
                    drop(open.hold);
                    let price = seed % (open.ceiling + 1);
                    self.finish_number(open.session, open.number, (price, 0));
                }
            }
            Step::TopUp(amount) => {
                let group = self.group;
                self.write(move |db| groups::top_up(db, group, amount));
                self.paid_in += amount;
            }
            Step::Restart => self.restart(),
            Step::End(pick, seed) => self.end(1 + pick % SESSIONS, seed),
        }
    }

    fn ask(&mut self, session: u64, ceiling: u64) {
        let held: u64 = self.open.iter().map(|open| open.ceiling).sum();
        let free = self.credit() - held;
        match self.credits().hold(Some(self.group), ceiling) {
            Ok(hold) => {
                assert!(ceiling <= free);
                let at = self.sessions.get_mut(&session).unwrap();
                self.open.push(Open {
                    session,
                    number: at.next,
                    ceiling,
                    hold,
                });
                at.next += 1;
            }
            Err(NoHold::Short(short)) => {
                assert!(ceiling > free);
                assert_eq!((short.held, short.needed), (held, ceiling));
            }
            Err(NoHold::Store(error)) => panic!("{error}"),
        }
    }

    fn close(&mut self, pick: u64) -> Option<Open> {
        let index = pick as usize % self.open.len().max(1);
        (index < self.open.len()).then(|| self.open.swap_remove(index))
    }

    fn finish(&mut self, open: &Open, price: u64, charged: u64) {
        self.finish_number(open.session, open.number, (price, charged));
    }

    /// Stores an answer; a second time is refused.
    fn finish_number(&mut self, session: u64, number: u64, (price, charged): (u64, u64)) {
        let leaf = Leaf {
            number,
            request: [0; 32],
            answer: [0; 32],
            prompt_bytes: 1,
            answer_bytes: 1,
            prompt_tokens: 1,
            answer_tokens: 1,
            min_quality: 0,
            finish: Finish::Stop,
            price,
            total: 0,
        };
        let ending = Ending {
            leaf,
            signature: Vec::new(),
        };
        let charge = match charged {
            0 => Charge::NOBODY,
            amount => Charge {
                key: KEY,
                group: Some(self.group),
                amount,
            },
        };
        let again = ending.clone();
        self.write(move |db| orders::finish(db, session, &ending, (None, ""), charge));
        let twice = self
            .credits()
            .store
            .write(move |db| orders::finish(db, session, &again, (None, ""), charge));
        assert!(self.runtime.block_on(twice).is_err());
        let session = self.sessions.get_mut(&session).unwrap();
        session.ended.insert(number, (price, charged));
    }

    fn restart(&mut self) {
        for open in std::mem::take(&mut self.open) {
            let price = open.ceiling / 2;
            let (session, number) = (open.session, open.number);
            drop(open);
            self.finish_number(session, number, (price, 0));
        }
        self.credits = None;
        let store = Store::open(&self.folder.path().join("gateway.db")).unwrap();
        self.credits = Some(Arc::new(Credits::new(Arc::new(store), account())));
    }

    fn end(&mut self, id: u64, seed: u64) {
        let session = self.sessions.get_mut(&id).unwrap();
        if session.record.is_some() {
            return;
        }
        // The longest finished part of the log, or less of it.
        let prefix = (0..).take_while(|number| session.ended.contains_key(number));
        let count = prefix.count() as u64;
        let count = count - seed % 3 % (count + 1);
        let in_log = session.ended.range(..count);
        let amount: u64 = in_log.map(|(_, (price, _))| price).sum();
        let mut record = v1::Session {
            id,
            status: SessionStatus::Refunded.into(),
            ..v1::Session::default()
        };
        if !seed.is_multiple_of(4) {
            record.status = SessionStatus::Final.into();
            record.settlement = Some(SessionSettlement {
                count,
                amount,
                unacknowledged: seed % 2,
                ..SessionSettlement::default()
            });
            record.payment = Some(SessionPayment {
                refund: seed % (amount + 1),
                ..SessionPayment::default()
            });
        }
        session.record = Some(record.clone());
        for _ in 0..2 {
            let record = record.clone();
            self.write(move |db| sessions::end(db, &record));
        }
    }

    fn credit(&self) -> u64 {
        let group = self.group;
        let read = self.credits().store.read(|db| groups::get(db, group));
        read.unwrap().credit
    }

    /// What must hold at any time.
    fn check(&self) {
        let (mut charged, mut returned) = (0, 0);
        for session in self.sessions.values() {
            charged += session
                .ended
                .values()
                .map(|(_, charge)| charge)
                .sum::<u64>();
            let Some(record) = &session.record else {
                continue;
            };
            let backs = session
                .ended
                .iter()
                .map(|(number, (_, charge))| (*number, given_back(record, *number, *charge)));
            let backs: Vec<_> = backs.collect();
            returned += backs.iter().map(|(_, back)| back).sum::<u64>();
            if let (Some(settlement), Some(payment)) = (&record.settlement, &record.payment) {
                let settled = backs
                    .iter()
                    .filter(|(number, _)| *number < settlement.count);
                let settled: u64 = settled.map(|(_, back)| back).sum();
                assert!(
                    settled <= payment.refund,
                    "no more than the chain paid back"
                );
            }
        }
        let group = self.group;
        let sum = |kind| {
            let store = &self.credits().store;
            store.read(|db| groups::sum(db, group, kind)).unwrap()
        };
        assert_eq!((sum("charge"), sum("return")), (charged, returned));
        assert_eq!(sum("top-up"), self.paid_in);
        assert_eq!(self.credit() + charged - returned, self.paid_in);
        let held: u64 = self.open.iter().map(|open| open.ceiling).sum();
        assert_eq!(self.credits().held(self.group), held);
        assert!(held <= self.credit(), "every charge is covered");
    }
}

fn pick_one<T>(all: &mut [T], pick: u64) -> Option<&mut T> {
    let index = pick as usize % all.len().max(1);
    all.get_mut(index)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn credit_is_what_was_paid_in_less_what_answers_cost(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            world.check();
        }
    }
}
