//! What a node keeps of a session: orders, log, and the newest acknowledgement.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_client::session::RefusalCode;
use poq_proto::v1::{self, Finish};
use poq_proto::{Leaf, Voucher};
use sha2::{Digest, Sha256};

use super::{Behaviour, Refused, refusal};

pub(super) struct Taken {
    pub(super) chat: v1::Chat,
    pub(super) behaviour: Behaviour,
    pub(super) text: String,
    pub(super) finish: Option<Finish>,
    pub(super) receipt: Option<Leaf>,
}

#[derive(Default)]
pub(super) struct Held {
    pub(super) taken: Vec<Taken>,
    pub(super) log: Vec<Leaf>,
    pub(super) acknowledged: u64,
    pub(super) amount: u64,
    pub(super) unacknowledged: u64,
}

impl Held {
    /// Takes a voucher's acknowledgement and its sums.
    pub(super) fn take(
        &mut self,
        record: &v1::Session,
        voucher: &Voucher,
        (chat, window): (Option<&v1::Chat>, u32),
    ) -> Result<(), Refused> {
        let log = self.log.get(..voucher.count as usize);
        let log = log.filter(|_| voucher.count >= self.acknowledged);
        let log = log.ok_or_else(|| refusal(RefusalCode::WrongLog, None))?;
        let amount = log.last().map_or(0, |leaf| leaf.total);
        if voucher.root != root(log) || voucher.amount != amount {
            return Err(refusal(RefusalCode::WrongLog, None));
        }
        let terms = record.terms.unwrap();
        let ceiling =
            |chat: &v1::Chat| terms.price(chat.prompt_bytes(), chat.max_answer_bytes.into());
        let open = self.taken[voucher.count as usize..]
            .iter()
            .map(|taken| ceiling(&taken.chat));
        let sum = amount + open.sum::<u64>() + chat.map_or(0, ceiling);
        if voucher.authorized != sum || sum > record.escrow {
            return Err(refusal(RefusalCode::Escrow, None));
        }
        let beyond = self.taken.len() as u64 - voucher.count;
        if chat.is_some() && beyond >= window.into() {
            return Err(refusal(RefusalCode::Busy, None));
        }
        (self.acknowledged, self.amount) = (voucher.count, amount);
        self.unacknowledged = self.unacknowledged.max(sum - amount);
        Ok(())
    }

    pub(super) fn finish(&mut self, record: &v1::Session, number: usize, behaviour: Behaviour) {
        let taken = &self.taken[number];
        let (prompt, answer) = (taken.chat.prompt_bytes(), taken.text.len());
        let is_void = behaviour == Behaviour::Void;
        let price = match is_void {
            true => 0,
            false => record.terms.unwrap().price(prompt, answer as u64),
        };
        let price = price + u64::from(behaviour == Behaviour::WrongPrice);
        let digest = match behaviour {
            Behaviour::Void => [0; 32],
            Behaviour::WrongText => Sha256::digest("another text").into(),
            _ => Sha256::digest(&taken.text).into(),
        };
        let receipt = Leaf {
            number: number as u64,
            request: taken.chat.digest(),
            answer: digest,
            prompt_bytes: prompt as u32,
            answer_bytes: answer as u32,
            prompt_tokens: 11,
            answer_tokens: 7,
            min_quality: taken.chat.min_quality,
            finish: taken.finish.unwrap(),
            price,
            total: 0,
        };
        self.taken[number].receipt = Some(receipt);
        while let Some(next) = self.taken.get(self.log.len()).and_then(|next| next.receipt) {
            let total = self.log.last().map_or(0, |leaf| leaf.total);
            self.log.push(next.after(total));
        }
    }
}

/// The root of a log.
pub(super) fn root(log: &[Leaf]) -> [u8; 32] {
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for leaf in log {
        tree.push(leaf.encode().to_vec());
    }
    tree.root().as_bytes()[..].try_into().unwrap()
}
