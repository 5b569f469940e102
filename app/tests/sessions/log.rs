//! The node's log of a session and the user's vouchers, as honest programs keep them.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use k256::ecdsa::Signature;
use k256::ecdsa::signature::hazmat::PrehashSigner;
use poq_proto::v1::*;
use poq_proto::{Leaf, Voucher, v1};
use sha2::{Digest, Sha256};

use super::session_key;
use super::support::{CHAIN_ID, MODEL, model};

pub(crate) struct Log {
    pub session: u64,
    /// The prices.
    pub terms: Terms,
    pub leaves: Vec<(Leaf, Chat, String)>,
    /// Ceilings of what is ordered and not acknowledged, base units.
    pub ordered: u64,
}

impl Log {
    pub(crate) fn new(session: u64) -> Self {
        Self {
            session,
            terms: model().terms(),
            leaves: Vec::new(),
            ordered: 0,
        }
    }

    /// Adds an answer to the log.
    pub(crate) fn serve(&mut self, question: &str, answer: &str) {
        let chat = chat(question);
        let price = self.terms.price(chat.prompt_bytes(), answer.len() as u64);
        let leaf = Leaf {
            number: self.leaves.len() as u64,
            request: chat.digest(),
            answer: Sha256::digest(answer).into(),
            prompt_bytes: chat.prompt_bytes() as u32,
            answer_bytes: answer.len() as u32,
            prompt_tokens: 5,
            answer_tokens: 6,
            min_quality: chat.min_quality,
            finish: Finish::Stop,
            price,
            total: self.amount() + price,
        };
        self.leaves.push((leaf, chat, answer.to_owned()));
    }

    /// Adds a number that was not served.
    pub(crate) fn lose(&mut self, question: &str) {
        self.serve(question, "");
        let last = self.leaves.len() - 1;
        let (leaf, ..) = &mut self.leaves[last];
        leaf.total -= leaf.price;
        (leaf.price, leaf.finish) = (0, Finish::Void);
    }

    pub(crate) fn amount(&self) -> u64 {
        self.leaves.last().map_or(0, |(leaf, ..)| leaf.total)
    }

    fn tree(&self) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        for (leaf, ..) in &self.leaves {
            tree.push(leaf.encode().to_vec());
        }
        tree
    }

    /// The newest voucher.
    pub(crate) fn voucher(&self) -> Voucher {
        Voucher {
            session: self.session,
            number: self.leaves.len() as u64,
            request: [0; 32],
            count: self.leaves.len() as u64,
            root: self.tree().root().as_bytes()[..].try_into().unwrap(),
            amount: self.amount(),
            authorized: self.amount() + self.ordered,
        }
    }

    pub(crate) fn settle_item(&self, unacknowledged: u64) -> SettleItem {
        settle_item(&self.voucher(), unacknowledged)
    }

    pub(crate) fn leaf_item(&self, number: u64) -> LeafItem {
        let (leaf, chat, answer) = &self.leaves[number as usize];
        let proof = self.tree().prove_inclusion(number as usize);
        LeafItem {
            session: self.session,
            leaf: Some(v1::Leaf::from(leaf)),
            path: proof.as_bytes().chunks(32).map(<[u8]>::to_vec).collect(),
            chat: Some(chat.clone()),
            answer: answer.clone(),
        }
    }

    /// The numbers of the leaves that the session must reveal.
    pub(crate) fn drawn(&self, session: &Session) -> Vec<u64> {
        let settlement = session.settlement.as_ref().unwrap();
        let leaves = self.leaves.iter().map(|(leaf, ..)| leaf);
        let is_drawn = |leaf: &&Leaf| {
            let place = leaf.total - leaf.price..leaf.total;
            match settlement.all_drawn {
                true => leaf.price > 0,
                false => settlement
                    .open_points
                    .iter()
                    .any(|point| place.contains(point)),
            }
        };
        leaves.filter(is_drawn).map(|leaf| leaf.number).collect()
    }
}

/// A voucher with the session key's signature.
pub(crate) fn settle_item(voucher: &Voucher, unacknowledged: u64) -> SettleItem {
    let signature: Signature = session_key()
        .key
        .sign_prehash(&voucher.digest(CHAIN_ID))
        .unwrap();
    let signature = signature.normalize_s().unwrap_or(signature);
    SettleItem {
        voucher: Some(voucher.into()),
        signature: signature.to_bytes().to_vec(),
        unacknowledged,
    }
}

pub(crate) fn chat(question: &str) -> Chat {
    let message = |role: ChatRole, text: &str| ChatMessage {
        role: role.into(),
        text: text.into(),
    };
    Chat {
        model: MODEL.into(),
        messages: vec![
            message(ChatRole::System, "Be brief."),
            message(ChatRole::User, question),
        ],
        max_answer_bytes: 1_000,
        ..Chat::default()
    }
}
