//! Random interleavings of orders, answers, losses and restarts: what is charged is what is acknowledged.

use super::*;

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

    /// What the node signs as soon as an answer ends, whatever it is with those before.
    fn receipts(&self) -> Vec<Leaf> {
        let answered = self
            .orders
            .iter()
            .filter_map(|(number, (order, text))| Some(receipt(*number, order, text.as_ref()?)));
        answered.collect()
    }

    /// Checks a voucher by the rules of docs/sessions.md.
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
            let receipt = receipt(self.log.len() as u64, order, text);
            self.log.push(receipt.after(self.total()));
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
            group: None,
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
        let mut written = self.node.receipts();
        written.retain(|receipt| waiting.contains(&receipt.number));
        let Some(leaf) = written.get(pick as usize % written.len().max(1)) else {
            return;
        };
        let leaf = *leaf;
        self.book.check(&leaf).unwrap();
        let ending = Ending {
            leaf,
            signature: vec![0; 64],
        };
        let charge = Charge {
            key: 1,
            group: None,
            amount: leaf.price,
        };
        let again = ending.clone();
        self.write(move |db| orders::finish(db, SESSION, &ending, (None, ""), charge));
        let store = self.store.as_ref().unwrap();
        let twice = store.write(move |db| orders::finish(db, SESSION, &again, (None, ""), charge));
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
        let asked: u64 = self.node.receipts().iter().map(|leaf| leaf.price).sum();
        assert!(self.book.amount() <= charged && charged <= asked);
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
