//! The log of a session: its numbered orders, the leaves of those that are finished, and the checks of
//! a voucher against both. It neither stores nor signs anything.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_proto::merkle::EMPTY_ROOT;
use poq_proto::v1::{Finish, SessionSettlement, Terms};
use poq_proto::{Leaf, Voucher};
use sha2::Sha256;

type Tree = MemoryBackedTree<Sha256, [u8; Leaf::BYTES]>;

/// What the session's record on the chain allows.
#[derive(Clone, Debug)]
pub(super) struct Allowed {
    /// The model's prices when the session was opened.
    pub terms: Terms,
    /// Base units held for the session.
    pub escrow: u64,
    /// Highest price of one answer, base units.
    pub max_order_price: u64,
    /// Most orders, because a log with more leaves could not be settled; none if all sizes can.
    pub max_orders: Option<u64>,
}

/// What an order asks for, as far as its price and its leaf depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Digest of the chat.
    pub request: [u8; 32],
    /// Bytes of the texts of all messages.
    pub prompt_bytes: u32,
    /// Most bytes of the answer.
    pub max_answer_bytes: u32,
    /// ppm.
    pub min_quality: u32,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// SHA-256 of the answer; zeros if it was not served.
    pub answer: [u8; 32],
    /// Bytes of the answer.
    pub answer_bytes: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
    /// Why it ended.
    pub finish: Finish,
}

impl Ended {
    /// An order that was not served.
    pub(super) const VOID: Self = Self {
        answer: [0; 32],
        answer_bytes: 0,
        prompt_tokens: 0,
        answer_tokens: 0,
        finish: Finish::Void,
    };
}

/// Why a voucher is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The number is not the next one.
    #[error("the next number is {next}")]
    Number {
        /// The next number.
        next: u64,
    },
    /// Count, root or amount are not those of the log, or below the last ones.
    #[error(
        "count, root and amount must be those of a finished part of the log, not below the {acknowledged} \
         leaves acknowledged last"
    )]
    Log {
        /// Leaves acknowledged last.
        acknowledged: u64,
    },
    /// The answer could cost more than one order may.
    #[error("the answer could cost {ceiling}, and an order at most {most}: allow a shorter answer")]
    Price {
        /// Highest price of the order, base units.
        ceiling: u64,
        /// Highest price of any order, base units.
        most: u64,
    },
    /// The voucher authorizes another sum than the log's.
    #[error("the voucher must authorize {expected}")]
    Authorized {
        /// The log's sum, base units.
        expected: u64,
    },
    /// The orders could cost more than the escrow.
    #[error("the orders could cost {authorized}, and the escrow is {escrow}: open another session")]
    Escrow {
        /// Base units.
        authorized: u64,
        /// Base units.
        escrow: u64,
    },
    /// The log has as many orders as the chain settles.
    #[error("the session has had all of its {most} orders: use another one")]
    Full {
        /// Most orders.
        most: u64,
    },
    /// Too many orders are not acknowledged.
    #[error("at most {window} orders may be beyond the acknowledged ones: acknowledge first")]
    Window {
        /// Orders that may be beyond the acknowledged ones.
        window: u32,
    },
}

struct Order {
    asked: Asked,
    /// Highest price, base units.
    ceiling: u64,
    ended: Option<Ended>,
}

/// The log of one session.
pub(super) struct Log {
    allowed: Allowed,
    /// By number.
    orders: Vec<Order>,
    /// Leaves of the longest finished prefix of the orders.
    leaves: Vec<Leaf>,
    tree: Tree,
    /// Root of the tree over the first `index` leaves.
    roots: Vec<[u8; 32]>,
    acknowledged: u64,
}

impl Log {
    /// The log of a session without orders.
    pub(super) fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            orders: Vec::new(),
            leaves: Vec::new(),
            tree: Tree::new(),
            roots: vec![EMPTY_ROOT],
            acknowledged: 0,
        }
    }

    /// The number of the next order.
    pub(super) fn next(&self) -> u64 {
        self.orders.len() as u64
    }

    /// Whether it takes no more orders.
    pub(super) fn is_full(&self) -> bool {
        let most = self.allowed.max_orders;
        most.is_some_and(|most| self.next() >= most)
    }

    /// Leaves: the longest finished prefix of the orders.
    pub(super) fn count(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Leaves that the user has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Sum of the prices of the first `count` leaves, base units; of all if there are fewer.
    pub(super) fn amount(&self, count: u64) -> u64 {
        let before = (count.min(self.count()) as usize).checked_sub(1);
        before
            .and_then(|last| self.leaves.get(last))
            .map_or(0, |leaf| leaf.total)
    }

    /// The leaf of an order, once this order and all before it are finished.
    pub(super) fn leaf(&self, number: u64) -> Option<&Leaf> {
        self.leaves.get(usize::try_from(number).ok()?)
    }

    /// Orders that are not finished, ascending.
    pub(super) fn open(&self) -> impl Iterator<Item = u64> + '_ {
        let numbered = (0..).zip(&self.orders).skip(self.leaves.len());
        numbered
            .filter(|(_, order)| order.ended.is_none())
            .map(|(number, _)| number)
    }

    /// Whether a voucher of this order can be accepted, with at most `window` orders beyond the
    /// acknowledged ones.
    ///
    /// # Errors
    /// The first rule that the voucher breaks.
    pub(super) fn check_order(
        &self,
        voucher: &Voucher,
        asked: &Asked,
        window: u32,
    ) -> Result<(), Fault> {
        self.check_log(voucher)?;
        if let Some(most) = self.allowed.max_orders
            && self.is_full()
        {
            return Err(Fault::Full { most });
        }
        let ceiling = self.ceiling(asked);
        let most = self.allowed.max_order_price;
        if ceiling > most {
            return Err(Fault::Price { ceiling, most });
        }
        self.check_authorized(voucher, ceiling)?;
        if self.next() - voucher.count >= u64::from(window) {
            return Err(Fault::Window { window });
        }
        Ok(())
    }

    /// Whether a voucher that orders nothing can be accepted.
    ///
    /// # Errors
    /// The first rule that the voucher breaks.
    pub(super) fn check_acknowledgement(&self, voucher: &Voucher) -> Result<(), Fault> {
        self.check_log(voucher)?;
        self.check_authorized(voucher, 0)
    }

    fn check_log(&self, voucher: &Voucher) -> Result<(), Fault> {
        let (next, acknowledged) = (self.next(), self.acknowledged);
        if voucher.number != next {
            return Err(Fault::Number { next });
        }
        let is_own = (acknowledged..=self.count()).contains(&voucher.count)
            && self.root(voucher.count) == Some(voucher.root)
            && self.amount(voucher.count) == voucher.amount;
        match is_own {
            true => Ok(()),
            false => Err(Fault::Log { acknowledged }),
        }
    }

    /// `ceiling` is that of the order that the voucher adds.
    fn check_authorized(&self, voucher: &Voucher, ceiling: u64) -> Result<(), Fault> {
        let escrow = self.allowed.escrow;
        let expected = self.authorized(voucher.count).saturating_add(ceiling);
        if expected > escrow {
            let authorized = expected;
            return Err(Fault::Escrow { authorized, escrow });
        }
        match voucher.authorized == expected {
            true => Ok(()),
            false => Err(Fault::Authorized { expected }),
        }
    }

    /// The amount of the first `count` leaves and the ceilings of all orders after them, base units.
    pub(super) fn authorized(&self, count: u64) -> u64 {
        let ceilings = self.beyond(count).map(|order| order.ceiling);
        ceilings.fold(self.amount(count), u64::saturating_add)
    }

    /// Ceilings of the orders from number `count` on that were served, base units.
    pub(super) fn served_beyond(&self, count: u64) -> u64 {
        let is_served = |order: &&Order| {
            let ended = order.ended.as_ref();
            ended.is_some_and(|ended| ended.finish != Finish::Void)
        };
        let served = self.beyond(count).filter(is_served);
        served.fold(0, |sum, order| sum.saturating_add(order.ceiling))
    }

    fn beyond(&self, count: u64) -> impl Iterator<Item = &Order> {
        self.orders
            .iter()
            .skip(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The root of the tree over the first `count` leaves, if there are so many.
    pub(super) fn root(&self, count: u64) -> Option<[u8; 32]> {
        self.roots.get(usize::try_from(count).ok()?).copied()
    }

    /// The highest price of an order, base units.
    pub(super) fn ceiling(&self, asked: &Asked) -> u64 {
        let (prompt, answer) = (asked.prompt_bytes, asked.max_answer_bytes);
        self.allowed.terms.price(prompt.into(), answer.into())
    }

    /// Adds the next order and returns its number.
    pub(super) fn order(&mut self, asked: Asked) -> u64 {
        let number = self.next();
        let ceiling = self.ceiling(&asked);
        self.orders.push(Order {
            asked,
            ceiling,
            ended: None,
        });
        number
    }

    /// Records that the user has acknowledged `count` leaves, and returns how many of them are new.
    pub(super) fn acknowledge(&mut self, count: u64) -> u64 {
        let new = count.min(self.count()).saturating_sub(self.acknowledged);
        self.acknowledged += new;
        new
    }

    /// Ends an order: its leaf, and those of later orders that wait for it, go into the log. The first
    /// end of an order is the only one.
    pub(super) fn finish(&mut self, number: u64, ended: Ended) {
        let place = usize::try_from(number).ok();
        if let Some(order) = place.and_then(|number| self.orders.get_mut(number)) {
            order.ended.get_or_insert(ended);
        }
        while let Some(receipt) = self.receipt(self.count()) {
            let leaf = receipt.after(self.amount(self.count()));
            self.tree.push(leaf.encode());
            self.leaves.push(leaf);
            self.roots.push(root(&self.tree));
        }
    }

    /// The leaf of an order without its total, once this order is finished.
    pub(super) fn receipt(&self, number: u64) -> Option<Leaf> {
        let place = usize::try_from(number).ok()?;
        let Order { asked, ended, .. } = self.orders.get(place)?;
        let ended = (*ended)?;
        let price = match ended.finish {
            Finish::Void => 0,
            _ => {
                let (prompt, answer) = (asked.prompt_bytes, ended.answer_bytes);
                self.allowed.terms.price(prompt.into(), answer.into())
            }
        };
        Some(Leaf {
            number,
            request: asked.request,
            answer: ended.answer,
            prompt_bytes: asked.prompt_bytes,
            answer_bytes: ended.answer_bytes,
            prompt_tokens: ended.prompt_tokens,
            answer_tokens: ended.answer_tokens,
            min_quality: asked.min_quality,
            finish: ended.finish,
            price,
            total: 0,
        })
    }

    /// Leaves with the hashes of their inclusion proofs in the tree over the first `count` leaves; those
    /// of `numbers` that are there.
    pub(super) fn proofs(&self, numbers: &[u64], count: u64) -> Vec<(Leaf, Vec<[u8; 32]>)> {
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let mut tree = Tree::new();
        for leaf in self.leaves.iter().take(most) {
            tree.push(leaf.encode());
        }
        let proof = |number: &u64| {
            let leaf = self.leaf(*number).filter(|_| *number < tree.len())?;
            let proof = tree.prove_inclusion(usize::try_from(*number).ok()?);
            let hashes = proof.as_bytes().chunks_exact(32);
            let path = hashes.map(|hash| hash.try_into().ok());
            Some((*leaf, path.collect::<Option<_>>()?))
        };
        numbers.iter().filter_map(proof).collect()
    }

    /// Numbers of the leaves that the chain waits for, ascending.
    pub(super) fn drawn(&self, settlement: &SessionSettlement) -> Vec<u64> {
        let settled = self.leaves.iter().take(settlement.count as usize);
        if settlement.all_drawn {
            let is_revealed = |leaf: &&Leaf| {
                let mut revealed = settlement.leaves.iter();
                revealed.any(|drawn| drawn.number == leaf.number)
            };
            return settled
                .filter(|leaf| leaf.price > 0 && !is_revealed(leaf))
                .map(|leaf| leaf.number)
                .collect();
        }
        let at = |point: &u64| self.leaves.partition_point(|leaf| leaf.total <= *point) as u64;
        let mut numbers: Vec<u64> = settlement.open_points.iter().map(at).collect();
        numbers.retain(|number| *number < settlement.count.min(self.count()));
        numbers.dedup();
        numbers
    }
}

fn root(tree: &Tree) -> [u8; 32] {
    (*tree.root().as_bytes()).into()
}

#[cfg(test)]
mod tests;
