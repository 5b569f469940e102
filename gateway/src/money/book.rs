//! The account of one session: which numbers are ordered, which are answered, and the log of answers
//! that vouchers acknowledge. It knows neither the network nor the store.

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_proto::merkle::EMPTY_ROOT;
use poq_proto::v1::{Finish, Terms};
use poq_proto::{Leaf, Voucher};
use sha2::Sha256;

/// What a number orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ordered {
    /// Digest of the chat.
    pub request: [u8; 32],
    /// Bytes of the chat's texts.
    pub prompt_bytes: u32,
    /// Most bytes of the answer.
    pub max_answer_bytes: u32,
    /// ppm.
    pub min_quality: u32,
    /// Price of the longest answer, base units.
    pub ceiling: u64,
}

/// What a session may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most that all answers may cost, base units.
    pub escrow: u64,
    /// The most that one answer may cost, base units.
    pub order_price: u64,
}

/// Why a session cannot take an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// As many orders as allowed are not acknowledged; their answers make room.
    Window,
    /// The escrow cannot pay for the answer; another session must.
    Escrow,
}

/// What is wrong with a receipt: nothing more is acknowledged in this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The number was not ordered, or has a receipt already.
    #[error("number {0} waits for no receipt")]
    Number(u64),
    /// It is for another chat.
    #[error("the receipt of number {0} is for another chat")]
    Request(u64),
    /// Digest or length are not those of the text.
    #[error("the receipt of number {0} is for another text")]
    Answer(u64),
    /// The price is not the formula's.
    #[error("the receipt of number {0} has a wrong price")]
    Price(u64),
    /// Not one of the known endings.
    #[error("the receipt of number {0} has no known ending")]
    Finish(u64),
}

/// A number that the node has taken and that is not in the log.
#[derive(Clone, Debug)]
struct Open {
    ordered: Ordered,
    /// Set once it is answered; the log waits for a number before it.
    receipt: Option<Leaf>,
}

/// The account of a session.
pub(crate) struct Book {
    session: u64,
    terms: Terms,
    limits: Limits,
    log: MemoryBackedTree<Sha256, Vec<u8>>,
    /// Sum of the prices in the log.
    total: u64,
    open: BTreeMap<u64, Open>,
    /// Leaves that the newest voucher acknowledges.
    acknowledged: u64,
    next: u64,
    /// Was sent under the next number, and the node did not say whether it takes it.
    doubt: Option<Ordered>,
    /// Orders that have a place but no number, and the sum of their ceilings.
    reserved: (u64, u64),
}

impl Book {
    /// The account of a session without orders.
    pub(crate) fn new(session: u64, terms: Terms, limits: Limits) -> Self {
        Self {
            session,
            terms,
            limits,
            log: MemoryBackedTree::new(),
            total: 0,
            open: BTreeMap::new(),
            acknowledged: 0,
            next: 0,
            doubt: None,
            reserved: (0, 0),
        }
    }

    /// The account of a session from what was stored of it: receipts and orders by number. Nothing counts
    /// as acknowledged, and whether the node has taken the last order is unknown.
    ///
    /// # Errors
    /// [`Fault`] if there is a receipt of what was not ordered.
    pub(crate) fn restore(
        session: u64,
        terms: Terms,
        limits: Limits,
        receipts: Vec<Leaf>,
        orders: Vec<(u64, Ordered)>,
    ) -> Result<Self, Fault> {
        let mut book = Self::new(session, terms, limits);
        let numbered = receipts
            .into_iter()
            .map(|receipt| (receipt.number, receipt));
        let mut receipts: BTreeMap<_, _> = numbered.collect();
        let last = orders.last().map(|(number, _)| *number);
        for (number, ordered) in orders {
            let receipt = receipts.remove(&number);
            if Some(number) == last && receipt.is_none() {
                book.doubted(ordered);
            } else {
                book.open.insert(number, Open { ordered, receipt });
                book.next = number + 1;
            }
        }
        if let Some(number) = receipts.keys().next() {
            return Err(Fault::Number(*number));
        }
        book.advance();
        Ok(book)
    }

    /// Keeps a place for an order.
    ///
    /// # Errors
    /// [`NoRoom`] if `window` numbers are ordered beyond the log, or the escrow is used up.
    pub(crate) fn reserve(&mut self, ceiling: u64, window: u32) -> Result<(), NoRoom> {
        let (orders, ceilings) = self.reserved;
        let beyond = self.next - self.count() + orders;
        let sum = self.authorized().saturating_add(ceilings);
        if sum.saturating_add(ceiling) > self.limits.escrow || ceiling > self.limits.order_price {
            return Err(NoRoom::Escrow);
        }
        if beyond >= window.into() {
            return Err(NoRoom::Window);
        }
        self.reserved = (orders + 1, ceilings + ceiling);
        Ok(())
    }

    /// Gives a kept place back.
    pub(crate) fn release(&mut self, ceiling: u64) {
        let (orders, ceilings) = self.reserved;
        self.reserved = (orders.saturating_sub(1), ceilings.saturating_sub(ceiling));
    }

    /// The voucher that orders the next number and acknowledges the log.
    pub(crate) fn voucher(&self, ordered: &Ordered) -> Voucher {
        Voucher {
            request: ordered.request,
            authorized: self.authorized().saturating_add(ordered.ceiling),
            ..self.acknowledgement()
        }
    }

    /// The bare voucher that acknowledges the log, if there is something new in it.
    pub(crate) fn bare(&self) -> Option<Voucher> {
        (self.count() > self.acknowledged && self.doubt.is_none()).then(|| self.acknowledgement())
    }

    /// The node has taken the next number.
    pub(crate) fn accepted(&mut self, ordered: Ordered) -> u64 {
        let number = self.next;
        let open = Open {
            ordered,
            receipt: None,
        };
        self.open.insert(number, open);
        self.next += 1;
        self.doubt = None;
        number
    }

    /// The node may or may not have taken the next number.
    pub(crate) fn doubted(&mut self, ordered: Ordered) {
        self.doubt = Some(ordered);
    }

    /// Whether it is unknown if the node has taken the next number.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Ends a doubt by the number that the node expects next. None if the node speaks of numbers that
    /// were never ordered.
    pub(crate) fn resolve(&mut self, next_of_node: u64) -> Option<Resolved> {
        if next_of_node == self.next {
            self.doubt = None;
            return Some(Resolved::Unseen);
        }
        let ordered = self.doubt.take_if(|_| next_of_node == self.next + 1)?;
        Some(Resolved::Taken(self.accepted(ordered)))
    }

    /// Records that a voucher which acknowledges `count` leaves reached the node.
    pub(crate) fn acknowledged(&mut self, count: u64) {
        self.acknowledged = self.acknowledged.max(count);
    }

    /// Takes the receipt of an answer into the account.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn receive(&mut self, receipt: Leaf) -> Result<(), Fault> {
        self.check(&receipt)?;
        if let Some(open) = self.open.get_mut(&receipt.number) {
            open.receipt = Some(receipt);
        }
        self.advance();
        Ok(())
    }

    /// Checks a receipt.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) fn check(&self, leaf: &Leaf) -> Result<(), Fault> {
        let number = leaf.number;
        let open = self.open.get(&number).filter(|open| open.receipt.is_none());
        let ordered = &open.ok_or(Fault::Number(number))?.ordered;
        let asked = (ordered.request, ordered.prompt_bytes, ordered.min_quality);
        if (leaf.request, leaf.prompt_bytes, leaf.min_quality) != asked {
            return Err(Fault::Request(number));
        }
        let price = match leaf.finish {
            Finish::Unspecified => return Err(Fault::Finish(number)),
            Finish::Void if leaf.answer_bytes > 0 => return Err(Fault::Answer(number)),
            Finish::Void => 0,
            Finish::Stop | Finish::Length | Finish::User => {
                let (prompt, answer) = (leaf.prompt_bytes.into(), leaf.answer_bytes.into());
                self.terms.price(prompt, answer)
            }
        };
        if leaf.answer_bytes > ordered.max_answer_bytes {
            return Err(Fault::Answer(number));
        }
        if leaf.price != price {
            return Err(Fault::Price(number));
        }
        Ok(())
    }

    /// Moves answers whose turn it is into the log.
    fn advance(&mut self) {
        while let Some(first) = self.open.first_entry() {
            let Some(receipt) = first
                .get()
                .receipt
                .filter(|one| one.number == self.log.len())
            else {
                break;
            };
            first.remove();
            let leaf = receipt.after(self.total);
            self.total = leaf.total;
            self.log.push(leaf.encode().to_vec());
        }
    }

    /// Answers in the log.
    pub(crate) fn count(&self) -> u64 {
        self.log.len()
    }

    /// The number that is ordered next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Numbers that wait for a receipt.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        let waiting = self.open.iter().filter(|(_, open)| open.receipt.is_none());
        waiting.map(|(number, _)| *number).collect()
    }

    /// What the session costs at most with all that was ordered, base units.
    pub(crate) fn authorized(&self) -> u64 {
        let ceilings = self.open.values().map(|open| open.ordered.ceiling);
        ceilings.fold(self.total, u64::saturating_add)
    }

    /// What the log costs, base units.
    pub(crate) fn amount(&self) -> u64 {
        self.total
    }

    /// Whether nothing is ordered, unanswered or unacknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        let nothing_waits = self.open.is_empty() && self.reserved.0 == 0 && self.doubt.is_none();
        nothing_waits && self.acknowledged == self.count()
    }

    fn acknowledgement(&self) -> Voucher {
        Voucher {
            session: self.session,
            number: self.next,
            request: [0; 32],
            count: self.count(),
            root: self.root(),
            amount: self.total,
            authorized: self.authorized(),
        }
    }

    fn root(&self) -> [u8; 32] {
        self.log.root().as_bytes()[..]
            .try_into()
            .unwrap_or(EMPTY_ROOT)
    }
}

/// The end of a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// The node never saw the order: its number is free.
    Unseen,
    /// The node has taken it under this number.
    Taken(u64),
}
