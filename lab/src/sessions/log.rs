//! The node's log of a session, and the user's vouchers.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_client::Key;
use poq_proto::v1::{
    Chat, ChatMessage, ChatRole, Finish, LeafItem, Session, SessionSettlement, SettleItem, Terms,
};
use poq_proto::{Leaf, Voucher, v1};
use sha2::{Digest, Sha256};

use crate::chain::CHAIN_ID;
use crate::error::{Error, Result};
use crate::sessions::strategy::Answer;
use crate::world::{MODEL, text};

/// The user's limit of a usual answer, bytes: it sets the ceiling of an order.
const ORDERED_BYTES: u32 = 1_024;

/// What the node served in a session.
pub(super) struct Log {
    session: u64,
    terms: Terms,
    served: Vec<(Leaf, Chat, Answer)>,
}

impl Log {
    pub(super) fn new(session: u64, terms: Terms, answers: &[Answer]) -> Self {
        let mut log = Self {
            session,
            terms,
            served: Vec::new(),
        };
        for answer in answers {
            log.serve(*answer);
        }
        log
    }

    fn serve(&mut self, answer: Answer) {
        let bytes = answer.drawn.bytes as u32;
        let chat = Chat {
            model: MODEL.into(),
            messages: vec![ChatMessage {
                role: ChatRole::User.into(),
                text: "?".into(),
            }],
            max_answer_bytes: bytes.max(ORDERED_BYTES),
            ..Chat::default()
        };
        let price = self.terms.price(chat.prompt_bytes(), bytes.into());
        let leaf = Leaf {
            number: self.served.len() as u64,
            request: chat.digest(),
            answer: Sha256::digest(text(answer.drawn.raw, answer.drawn.bytes)).into(),
            prompt_bytes: chat.prompt_bytes() as u32,
            answer_bytes: bytes,
            prompt_tokens: 0,
            answer_tokens: 0,
            min_quality: chat.min_quality,
            finish: Finish::Stop,
            price,
            total: self.amount(self.served.len()) + price,
        };
        self.served.push((leaf, chat, answer));
    }

    /// Number of answers.
    pub(super) fn len(&self) -> usize {
        self.served.len()
    }

    /// The answer with this number.
    pub(super) fn answer(&self, number: u64) -> Option<&Answer> {
        let served = self.served.get(number as usize);
        served.map(|(_, _, answer)| answer)
    }

    /// Sum of the first prices, base units.
    fn amount(&self, count: usize) -> u64 {
        let last = count.checked_sub(1).and_then(|last| self.served.get(last));
        last.map_or(0, |(leaf, ..)| leaf.total)
    }

    /// The highest price of a usual order, base units.
    pub(super) fn ceiling(&self) -> u64 {
        self.terms.price(1, ORDERED_BYTES.into())
    }

    fn tree(&self, count: usize) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        for (leaf, ..) in self.served.iter().take(count) {
            tree.push(leaf.encode().to_vec());
        }
        tree
    }

    /// The settlement with the voucher that acknowledges the first `count` answers, and the claim of
    /// `unacknowledged` base units of orders.
    pub(super) fn settle_item(
        &self,
        count: usize,
        unacknowledged: u64,
        key: &Key,
    ) -> Result<SettleItem> {
        let root = self.tree(count).root();
        let root = <[u8; 32]>::try_from(&root.as_bytes()[..]);
        let amount = self.amount(count);
        let voucher = Voucher {
            session: self.session,
            number: count as u64,
            request: [0; 32],
            count: count as u64,
            root: root.map_err(|error| Error::unreadable("root of a log", error))?,
            amount,
            authorized: amount + unacknowledged,
        };
        Ok(SettleItem {
            voucher: Some((&voucher).into()),
            signature: key.sign_digest(&voucher.digest(CHAIN_ID))?.to_vec(),
            unacknowledged,
        })
    }

    /// The drawn leaves of a settled session.
    pub(super) fn drawn(&self, session: &Session) -> Vec<(&Leaf, &Answer)> {
        let Some(settlement) = &session.settlement else {
            return Vec::new();
        };
        let leaves = self.served.iter().take(settlement.count as usize);
        leaves
            .filter(|(leaf, ..)| is_drawn(settlement, leaf))
            .map(|(leaf, _, answer)| (leaf, answer))
            .collect()
    }

    /// The reveals of these leaves, in a log of `count` leaves.
    pub(super) fn leaf_items(&self, count: usize, numbers: &[u64]) -> Vec<LeafItem> {
        let tree = self.tree(count);
        let items = numbers.iter().filter_map(|number| {
            let (leaf, chat, answer) = self.served.get(*number as usize)?;
            let proof = tree.prove_inclusion(*number as usize);
            Some(LeafItem {
                session: self.session,
                leaf: Some(v1::Leaf::from(leaf)),
                path: proof.as_bytes().chunks(32).map(<[u8]>::to_vec).collect(),
                chat: Some(chat.clone()),
                answer: text(answer.drawn.raw, answer.drawn.bytes),
            })
        });
        items.collect()
    }
}

fn is_drawn(settlement: &SessionSettlement, leaf: &Leaf) -> bool {
    let place = leaf.total - leaf.price..leaf.total;
    let mut points = settlement.open_points.iter();
    settlement.all_drawn || points.any(|point| place.contains(point))
}
