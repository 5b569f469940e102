//! The account of a session, against a played node and a real store, in any order of events.

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_proto::v1::{self, Finish, Terms};
use poq_proto::{Leaf, Voucher};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::store::orders::{self, Asker, Charge};
use crate::store::sessions::{self, Set, State};
use crate::store::{Store, now};

const SESSION: u64 = 7;
const ESCROW: u64 = 100_000;
const LIMITS: Limits = Limits {
    escrow: ESCROW,
    order_price: 10_000,
};
const WINDOW: u32 = 4;

fn terms() -> Terms {
    Terms {
        base_price: 100,
        price_per_prompt_byte: 1,
        price_per_answer_byte: 10,
        ..Terms::default()
    }
}

fn ordered(seed: u64) -> Ordered {
    let (prompt_bytes, max_answer_bytes) = (10 + (seed % 7) as u32, 64 + (seed % 90) as u32);
    Ordered {
        request: Sha256::digest(seed.to_be_bytes()).into(),
        prompt_bytes,
        max_answer_bytes,
        min_quality: 0,
        ceiling: terms().price(prompt_bytes.into(), max_answer_bytes.into()),
    }
}

/// An answer as a node writes its leaf.
fn leaf(number: u64, ordered: &Ordered, text: &str, total_before: u64) -> Leaf {
    let answer_bytes = text.len() as u32;
    let price = terms().price(ordered.prompt_bytes.into(), answer_bytes.into());
    Leaf {
        number,
        request: ordered.request,
        answer: Sha256::digest(text).into(),
        prompt_bytes: ordered.prompt_bytes,
        answer_bytes,
        prompt_tokens: 3,
        answer_tokens: 4,
        min_quality: 0,
        finish: Finish::Stop,
        price,
        total: total_before + price,
    }
}

#[test]
fn only_a_receipt_for_what_was_ordered_is_taken() {
    let mut book = Book::new(SESSION, terms(), LIMITS);
    let order = ordered(1);
    book.accepted(order.clone());
    let right = leaf(0, &order, "text", 0);
    for (wrong, fault) in [
        (Leaf { number: 1, ..right }, Fault::Number(1)),
        (
            Leaf {
                request: [0; 32],
                ..right
            },
            Fault::Request(0),
        ),
        (
            Leaf {
                prompt_bytes: 1,
                ..right
            },
            Fault::Request(0),
        ),
        (
            Leaf {
                min_quality: 1,
                ..right
            },
            Fault::Request(0),
        ),
        (
            Leaf {
                price: right.price + 1,
                ..right
            },
            Fault::Price(0),
        ),
        (
            Leaf {
                price: right.price - 1,
                ..right
            },
            Fault::Price(0),
        ),
        (
            Leaf {
                total: right.total + 1,
                ..right
            },
            Fault::Total(0),
        ),
        (
            Leaf {
                finish: Finish::Unspecified,
                ..right
            },
            Fault::Finish(0),
        ),
        (
            Leaf {
                finish: Finish::Void,
                ..right
            },
            Fault::Answer(0),
        ),
        (
            Leaf {
                finish: Finish::Void,
                answer_bytes: 0,
                ..right
            },
            Fault::Price(0),
        ),
        (leaf(0, &order, &"a".repeat(200), 0), Fault::Answer(0)),
    ] {
        let mut book = Book::new(SESSION, terms(), LIMITS);
        book.accepted(order.clone());
        assert_eq!(book.receive(wrong), Err(fault));
    }
    assert_eq!(book.receive(right), Ok(()));
    assert_eq!(
        book.receive(right),
        Err(Fault::Number(0)),
        "it has its receipt"
    );
    assert_eq!((book.count(), book.amount()), (1, right.price));
}

#[test]
fn answers_enter_the_log_in_the_order_of_their_numbers() {
    let mut book = Book::new(SESSION, terms(), LIMITS);
    let orders = [ordered(1), ordered(2)];
    for order in &orders {
        book.accepted(order.clone());
    }
    let first = leaf(0, &orders[0], "one", 0);
    let second = leaf(1, &orders[1], "two", first.total);
    book.receive(second).unwrap();
    assert_eq!((book.count(), book.bare()), (0, None));
    assert_eq!(book.authorized(), orders[0].ceiling + orders[1].ceiling);
    book.receive(first).unwrap();
    let voucher = book.bare().unwrap();
    assert_eq!((voucher.count, voucher.number), (2, 2));
    assert_eq!(
        (voucher.amount, voucher.authorized),
        (second.total, second.total)
    );
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    tree.push(first.encode().to_vec());
    tree.push(second.encode().to_vec());
    assert_eq!(voucher.root[..], tree.root().as_bytes()[..]);
    book.acknowledged(2);
    assert!(book.is_settled());
}

#[test]
fn orders_fit_into_window_and_escrow() {
    let mut book = Book::new(SESSION, terms(), LIMITS);
    assert_eq!(
        book.reserve(10_001, WINDOW),
        Err(NoRoom::Escrow),
        "one answer costs too much"
    );
    for _ in 0..WINDOW {
        book.reserve(10_000, WINDOW).unwrap();
    }
    assert_eq!(book.reserve(1, WINDOW), Err(NoRoom::Window));
    book.release(10_000);
    book.reserve(10_000, WINDOW).unwrap();
    for _ in 4..10 {
        book.reserve(10_000, 99).unwrap();
    }
    assert_eq!(book.reserve(1, 99), Err(NoRoom::Escrow));
}

#[test]
fn a_doubt_ends_by_what_the_node_says() {
    let book = || {
        let mut book = Book::new(SESSION, terms(), LIMITS);
        book.accepted(ordered(1));
        book.doubted(ordered(2));
        assert!(book.is_in_doubt() && book.bare().is_none());
        book
    };
    let mut unseen = book();
    assert_eq!(unseen.resolve(1), Some(Resolved::Unseen));
    assert_eq!((unseen.next(), unseen.is_in_doubt()), (1, false));
    let mut taken = book();
    assert_eq!(taken.resolve(2), Some(Resolved::Taken(1)));
    assert_eq!((taken.next(), taken.waiting()), (2, vec![0, 1]));
    for wrong in [0, 3, u64::MAX] {
        let mut book = book();
        assert_eq!(book.resolve(wrong), None);
        assert!(book.is_in_doubt());
    }
}

/// A node that follows the rules, with a log of its own.
#[derive(Default)]
struct Node {
    orders: BTreeMap<u64, (Ordered, Option<String>)>,
    log: Vec<Leaf>,
    acknowledged: u64,
    authorized: u64,
    next: u64,
}

impl Node {
    fn total(&self) -> u64 {
        self.log.last().map_or(0, |leaf| leaf.total)
    }

    /// Checks a voucher as section 1.6 of the design demands.
    fn check(&mut self, voucher: &Voucher, order: Option<&Ordered>) {
        assert_eq!((voucher.session, voucher.number), (SESSION, self.next));
        assert!(voucher.count >= self.acknowledged && voucher.count <= self.log.len() as u64);
        let log = &self.log[..voucher.count as usize];
        assert_eq!(voucher.amount, log.last().map_or(0, |leaf| leaf.total));
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for leaf in log {
            tree.push(leaf.encode().to_vec());
        }
        assert_eq!(voucher.root[..], tree.root().as_bytes()[..]);
        let open = self
            .orders
            .range(voucher.count..)
            .map(|(_, order)| order.0.ceiling);
        let sum = voucher.amount + open.sum::<u64>() + order.map_or(0, |order| order.ceiling);
        assert_eq!(voucher.authorized, sum);
        assert!(voucher.authorized <= ESCROW);
        if order.is_some() {
            assert!(
                voucher.number - voucher.count < WINDOW.into(),
                "the window is kept"
            );
        }
        self.acknowledged = voucher.count;
        self.authorized = self.authorized.max(voucher.authorized - voucher.amount);
    }

    /// Writes the answer of a number; leaves follow in the order of numbers.
    fn answer(&mut self, number: u64, text: String) {
        if let Some((_, answer @ None)) = self.orders.get_mut(&number) {
            *answer = Some(text);
        }
        while let Some((order, Some(text))) = self.orders.get(&(self.log.len() as u64)) {
            let leaf = leaf(self.log.len() as u64, order, text, self.total());
            self.log.push(leaf);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// An order whose accept arrives.
    Order(u64),
    /// An order that the node takes, without its accept.
    LoseAccept(u64),
    /// An order that never reaches the node.
    LoseOrder(u64),
    /// An order that the node refuses.
    Refuse(u64),
    /// The node finishes one of the open numbers.
    Answer(u64),
    /// One of the receipts that were written arrives.
    Receive(u64),
    Acknowledge,
    /// The gateway asks what the node has.
    Ask,
    /// The gateway is killed and starts again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u64>().prop_map(Step::Order),
        1 => any::<u64>().prop_map(Step::LoseAccept),
        1 => any::<u64>().prop_map(Step::LoseOrder),
        1 => any::<u64>().prop_map(Step::Refuse),
        6 => any::<u64>().prop_map(Step::Answer),
        8 => any::<u64>().prop_map(Step::Receive),
        2 => Just(Step::Acknowledge),
        2 => Just(Step::Ask),
        1 => Just(Step::Restart),
    ]
}

struct World {
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
    store: Option<Store>,
    book: Book,
    node: Node,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let store = Store::open(&folder.path().join("gateway.db")).unwrap();
        let set = Set {
            id: 0,
            nonce: vec![1],
            public_key: vec![2],
            model: "m".into(),
            tier: "sampled".into(),
            created: now(),
        };
        let record = v1::Session {
            id: SESSION,
            ..v1::Session::default()
        };
        let add = store.write(move |db| {
            let set = sessions::add_set(db, &set)?;
            sessions::put(db, set, &record, State::Open)
        });
        runtime.block_on(add).unwrap();
        Self {
            runtime,
            folder,
            store: Some(store),
            book: Book::new(SESSION, terms(), LIMITS),
            node: Node::default(),
        }
    }

    fn write(
        &self,
        change: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()> + Send + 'static,
    ) {
        let store = self.store.as_ref().unwrap();
        self.runtime.block_on(store.write(change)).unwrap();
    }

    /// Stores an order's voucher; None if there is no room for it.
    fn send(&mut self, seed: u64) -> Option<(Voucher, Ordered)> {
        let order = ordered(seed);
        if self.book.is_in_doubt() || self.book.reserve(order.ceiling, WINDOW).is_err() {
            return None;
        }
        self.book.release(order.ceiling);
        let voucher = self.book.voucher(&order);
        let stored = order.clone();
        let asker = Asker {
            key: 1,
            request_id: String::new(),
        };
        self.write(move |db| orders::add(db, &voucher, &stored, &asker));
        Some((voucher, order))
    }

    fn take(&mut self, voucher: &Voucher, order: &Ordered) {
        self.node.check(voucher, Some(order));
        self.node
            .orders
            .insert(self.node.next, (order.clone(), None));
        self.node.next += 1;
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Order(seed) => {
                if let Some((voucher, order)) = self.send(seed) {
                    self.take(&voucher, &order);
                    self.book.accepted(order);
                    self.book.acknowledged(voucher.count);
                    let at = (SESSION, voucher.number, voucher.request);
                    self.write(move |db| orders::told(db, at, true));
                }
            }
            Step::LoseAccept(seed) => {
                if let Some((voucher, order)) = self.send(seed) {
                    self.take(&voucher, &order);
                    self.book.doubted(order);
                }
            }
            Step::LoseOrder(seed) => {
                if let Some((_, order)) = self.send(seed) {
                    self.book.doubted(order);
                }
            }
            Step::Refuse(seed) => {
                if let Some((voucher, _)) = self.send(seed) {
                    let at = (SESSION, voucher.number, voucher.request);
                    self.write(move |db| orders::told(db, at, false));
                }
            }
            Step::Answer(pick) => {
                let open = self
                    .node
                    .orders
                    .iter()
                    .filter(|(_, order)| order.1.is_none());
                let open: Vec<_> = open.map(|(number, _)| *number).collect();
                if let Some(number) = open.get(pick as usize % open.len().max(1)) {
                    self.node.answer(*number, "a".repeat((pick % 64) as usize));
                }
            }
            Step::Receive(pick) => self.receive(pick),
            Step::Acknowledge => {
                if let Some(voucher) = self.book.bare() {
                    self.node.check(&voucher, None);
                    self.book.acknowledged(voucher.count);
                }
            }
            Step::Ask => {
                if self.book.is_in_doubt() {
                    self.book.resolve(self.node.next).unwrap();
                }
            }
            Step::Restart => self.restart(),
        }
    }

    fn receive(&mut self, pick: u64) {
        let waiting = self.book.waiting();
        let written: Vec<_> = self
            .node
            .log
            .iter()
            .filter(|leaf| waiting.contains(&leaf.number))
            .collect();
        let Some(leaf) = written.get(pick as usize % written.len().max(1)) else {
            return;
        };
        let leaf = **leaf;
        self.book.check(&leaf).unwrap();
        let ending = Ending {
            leaf,
            signature: vec![0; 64],
        };
        let charge = Charge {
            key: 1,
            amount: leaf.price,
        };
        let again = ending.clone();
        self.write(move |db| orders::finish(db, SESSION, &ending, "", charge));
        let store = self.store.as_ref().unwrap();
        let twice = store.write(move |db| orders::finish(db, SESSION, &again, "", charge));
        assert!(
            self.runtime.block_on(twice).is_err(),
            "nothing is charged twice"
        );
        self.book.receive(leaf).unwrap();
    }

    fn restart(&mut self) {
        self.store = None;
        let store = Store::open(&self.folder.path().join("gateway.db")).unwrap();
        let stored =
            store.read(|db| Ok((orders::leaves(db, SESSION)?, orders::orders(db, SESSION)?)));
        let (leaves, orders) = stored.unwrap();
        self.book = Book::restore(SESSION, terms(), LIMITS, leaves, orders).unwrap();
        self.store = Some(store);
        if self.book.is_in_doubt() {
            self.book.resolve(self.node.next).unwrap();
        }
        assert_eq!(self.book.next(), self.node.next);
    }

    /// What must hold at any time.
    fn check(&self) {
        let store = self.store.as_ref().unwrap();
        let charged = store.read(|db| orders::charged(db, SESSION)).unwrap();
        let leaves = store.read(|db| orders::leaves(db, SESSION)).unwrap();
        assert_eq!(charged, leaves.iter().map(|leaf| leaf.price).sum::<u64>());
        assert!(self.book.amount() <= charged && charged <= self.node.total());
        let acknowledged = self.node.acknowledged as usize;
        let amount = self.node.log[..acknowledged]
            .last()
            .map_or(0, |leaf| leaf.total);
        assert!(amount <= charged, "only what was charged is acknowledged");
        // The most that can be burnt: the ceilings of one window.
        assert!(self.node.authorized <= u64::from(WINDOW) * 10_000);
    }

    /// Everything is answered, received and acknowledged.
    fn finish(&mut self) {
        self.run(Step::Ask);
        while self.node.log.len() as u64 != self.node.next {
            self.run(Step::Answer(0));
        }
        while !self.book.waiting().is_empty() {
            self.run(Step::Receive(0));
        }
        self.run(Step::Acknowledge);
        assert!(self.book.is_settled());
        let store = self.store.as_ref().unwrap();
        let charged = store.read(|db| orders::charged(db, SESSION)).unwrap();
        assert_eq!(
            charged,
            self.node.total(),
            "what is charged is what is acknowledged"
        );
        assert_eq!(self.node.acknowledged, self.node.next);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn charges_are_what_is_acknowledged_in_any_order_of_events(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            world.check();
        }
        world.finish();
        world.check();
    }
}

#[test]
fn a_receipt_is_the_nodes_and_for_the_text() {
    let key = poq_client::Key::from_bytes(&[7; 32]).unwrap();
    let order = ordered(1);
    let right = leaf(0, &order, "text", 0);
    let signed = |leaf: &Leaf| {
        let signature = key
            .sign_digest(&leaf.receipt_digest("poq-1", SESSION))
            .unwrap();
        (v1::Leaf::from(leaf), hex::encode(signature))
    };
    let (message, signature) = signed(&right);
    let public = key.public_key();
    let by = ("poq-1", SESSION, public.as_slice());
    let ending = verify((&message, &signature), "text", by).unwrap();
    assert_eq!(ending.leaf, right);
    let failed = |found: Result<Ending, Unproven>| found.unwrap_err();
    let wrong_text = failed(verify((&message, &signature), "texT", by));
    assert_eq!(wrong_text, Unproven::Fault(Fault::Answer(0)));
    let longer = Leaf {
        answer_bytes: 5,
        ..right
    };
    let (message_of_longer, signature_of_longer) = signed(&longer);
    let wrong_size = failed(verify(
        (&message_of_longer, &signature_of_longer),
        "text",
        by,
    ));
    assert_eq!(wrong_size, Unproven::Fault(Fault::Answer(0)));
    for by in [
        ("poq-2", SESSION, by.2),
        ("poq-1", 8, by.2),
        ("poq-1", SESSION, &[2; 33][..]),
    ] {
        assert_eq!(
            failed(verify((&message, &signature), "text", by)),
            Unproven::Signature
        );
    }
    let other = v1::Leaf {
        price: 1,
        ..message
    };
    assert_eq!(
        failed(verify((&other, &signature), "text", by)),
        Unproven::Signature
    );
    let void = Leaf {
        finish: Finish::Void,
        answer: [0; 32],
        answer_bytes: 0,
        price: 0,
        ..right
    };
    let (message, signature) = signed(&void);
    assert!(verify((&message, &signature), "", by).is_ok());
}
