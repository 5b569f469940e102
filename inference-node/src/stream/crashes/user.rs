//! The user that is killed. It does what the gateway does, in the gateway's order.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use poq_client::is_signature;
use poq_client::session::{Acknowledgement, Frame, Order, RefusalCode, WHOLE_SESSION};
use poq_proto::v1::{self, Finish};
use poq_proto::{Call, Leaf, Voucher};
use rand::Rng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

use super::node::Node;
use super::{Death, Step};
use crate::stream::log::{Asked, Ended};
use crate::stream::orders::Frames;
use crate::stream::testing::{self, CHAIN_ID, SESSION, chat, record, signature, user_key};

/// Enough for all answers of a history that run at the same time.
const WORDS: usize = 100;

/// What survives.
#[derive(Default)]
struct Disk {
    /// By number; an order that the node never saw is replaced.
    orders: BTreeMap<u64, v1::Chat>,
    leaves: BTreeMap<u64, Leaf>,
    /// What a client paid for a number, base units.
    charges: BTreeMap<u64, u64>,
}

/// What does not.
struct Memory {
    account: testing::User,
    /// Sent under the next number; the node did not say whether it takes it.
    doubt: Option<v1::Chat>,
    /// Answers that no client reads.
    orphans: BTreeSet<u64>,
    streams: BTreeMap<u64, Frames>,
    acknowledged: u64,
}

/// What both sides have signed or shown, whatever they remember of it.
#[derive(Default)]
struct Shown {
    accepted: BTreeMap<u64, [u8; 32]>,
    receipts: BTreeMap<u64, Leaf>,
    /// Answers whose end a client has.
    given: BTreeSet<u64>,
}

pub(super) struct User {
    disk: Disk,
    memory: Memory,
    shown: Shown,
    moments: u64,
}

impl Default for User {
    fn default() -> Self {
        let disk = Disk::default();
        Self {
            memory: Memory::of(&disk),
            disk,
            shown: Shown::default(),
            moments: u64::MAX,
        }
    }
}

impl Memory {
    /// As after a start.
    fn of(disk: &Disk) -> Self {
        let mut memory = Self {
            account: testing::User::new(SESSION),
            doubt: None,
            orphans: BTreeSet::new(),
            streams: BTreeMap::new(),
            acknowledged: 0,
        };
        let last = disk.orders.keys().last();
        for (number, chat) in &disk.orders {
            match disk.leaves.get(number) {
                None if Some(number) == last => memory.doubt = Some(chat.clone()),
                leaf => {
                    assert_eq!(memory.account.log.order(asked(chat)), *number);
                    match leaf {
                        Some(leaf) => memory.account.log.finish(*number, ended(leaf)),
                        None => drop(memory.orphans.insert(*number)),
                    }
                }
            }
        }
        memory
    }
}

impl User {
    pub(super) fn ends_after(&mut self, moments: u64) {
        self.moments = moments;
    }

    /// Another process with the same disk.
    pub(super) fn restart(&mut self) {
        self.moments = u64::MAX;
        self.memory = Memory::of(&self.disk);
    }

    /// The node was killed.
    pub(super) fn lose_streams(&mut self) {
        let lost = std::mem::take(&mut self.memory.streams);
        self.memory.orphans.extend(lost.into_keys());
    }

    fn moment(&mut self) -> Step {
        if self.moments == 0 {
            return Err(Death::User);
        }
        self.moments -= 1;
        Ok(())
    }

    fn commit(&mut self, change: impl FnOnce(&mut Disk)) -> Step {
        self.moment()?;
        change(&mut self.disk);
        self.moment()
    }

    pub(super) async fn order(&mut self, node: &Node, random: &mut StdRng) -> Step {
        if self.memory.doubt.is_some() {
            return self.clear_up(node).await;
        }
        let words = "so many words that few agree ";
        let chat = chat(&words[..random.gen_range(1..words.len())]);
        let asked = asked(&chat);
        let voucher = self.memory.account.voucher(Some(&asked));
        let number = voucher.number;
        self.commit(|disk| drop(disk.orders.insert(number, chat.clone())))?;
        node.parrot.permits.forget_permits(WORDS);
        node.parrot.permits.add_permits(random.gen_range(0..6));
        let order = Order {
            voucher: (&voucher).into(),
            signature: signature(&voucher.digest(CHAIN_ID)),
            chat: chat.clone(),
        };
        match node.desk.order(order).await {
            Ok(mut frames) => {
                let accept = frames.next().await;
                self.accepted(&voucher, accept);
                self.memory.account.log.order(asked);
                self.memory.acknowledged = voucher.count;
                self.memory.streams.insert(number, frames);
                Ok(())
            }
            Err(_) if node.life.is_over() => {
                self.memory.doubt = Some(chat);
                Err(Death::Node)
            }
            Err(refusal) => {
                assert_eq!(refusal.code, RefusalCode::Busy, "{refusal:?}");
                // This is stored without waiting, so a kill may lose it.
                if random.gen_bool(0.5) {
                    self.disk.orders.remove(&number);
                }
                self.clear_up(node).await
            }
        }
    }

    fn accepted(&mut self, voucher: &Voucher, frame: Option<Frame>) {
        let Some(Frame::Accept { signature, .. }) = frame else {
            panic!("no accept: {frame:?}");
        };
        check_signature(&voucher.accept_digest(CHAIN_ID), &signature);
        let before = self.shown.accepted.insert(voucher.number, voucher.request);
        assert_eq!(before, None, "a second accept of {}", voucher.number);
    }

    /// Reads an answer to its end; its client pays it.
    pub(super) async fn finish(&mut self, node: &Node, random: &mut StdRng) -> Step {
        let numbers: Vec<u64> = self.memory.streams.keys().copied().collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let number = numbers[random.gen_range(0..numbers.len())];
        let frames = self.memory.streams.remove(&number).unwrap();
        if random.gen_ratio(1, 4) {
            stop(node, number).await?;
        }
        match self.read(node, number, frames, true).await {
            Err(Death::Node) => {
                self.memory.orphans.insert(number);
                Err(Death::Node)
            }
            end => end,
        }
    }

    async fn read(&mut self, node: &Node, number: u64, mut frames: Frames, is_read: bool) -> Step {
        node.parrot.permits.add_permits(WORDS);
        let mut text = String::new();
        loop {
            let frame = tokio::select! {
                biased;
                frame = frames.next() => frame,
                () = node.life.over() => return Err(Death::Node),
            };
            match frame {
                Some(Frame::Text { offset, delta }) => {
                    assert_eq!(offset, text.len() as u64);
                    text.push_str(&delta);
                }
                Some(Frame::Receipt { leaf, signature }) => {
                    let leaf = Leaf::try_from(&leaf).unwrap();
                    check_signature(&leaf.receipt_digest(CHAIN_ID, SESSION), &signature);
                    assert_eq!(leaf.number, number);
                    return self.receive(leaf, &text, is_read);
                }
                _ if node.life.is_over() => return Err(Death::Node),
                other => panic!("no receipt: {other:?}"),
            }
        }
    }

    fn receive(&mut self, leaf: Leaf, text: &str, is_read: bool) -> Step {
        let number = leaf.number;
        let known = self.shown.receipts.insert(number, leaf);
        assert!(
            known.is_none_or(|known| known == leaf),
            "two leaves of {number}"
        );
        if leaf.finish != Finish::Void {
            assert_eq!(leaf.answer, <[u8; 32]>::from(Sha256::digest(text)));
        }
        self.commit(|disk| {
            assert_eq!(disk.leaves.insert(number, leaf), None);
            if is_read {
                assert_eq!(disk.charges.insert(number, leaf.price), None);
            }
        })?;
        self.memory.account.log.finish(number, ended(&leaf));
        if is_read {
            self.shown.given.insert(number);
        }
        Ok(())
    }

    /// Finds out what the node has, and takes what nobody reads at its own cost.
    pub(super) async fn clear_up(&mut self, node: &Node) -> Step {
        if let Some(chat) = self.memory.doubt.clone() {
            let by = signed(Call::Read, WHOLE_SESSION);
            let state = node.desk.look(SESSION, &by).await.map_err(|refusal| {
                assert!(node.life.is_over(), "{refusal:?}");
                Death::Node
            })?;
            let log = &mut self.memory.account.log;
            if state.next != log.next() {
                assert_eq!(state.next, log.next() + 1);
                self.memory.orphans.insert(log.order(asked(&chat)));
            }
            self.memory.doubt = None;
        }
        while let Some(number) = self.memory.orphans.first().copied() {
            stop(node, number).await?;
            let by = signed(Call::Read, number);
            let frames = node.desk.read((SESSION, number), 0, &by).await;
            let frames = frames.map_err(|refusal| {
                assert!(node.life.is_over(), "{refusal:?}");
                Death::Node
            })?;
            self.read(node, number, frames, false).await?;
            self.memory.orphans.remove(&number);
        }
        Ok(())
    }

    /// Acknowledges what is in the log.
    pub(super) async fn acknowledge(&mut self, node: &Node) -> Step {
        let count = self.memory.account.log.count();
        if count <= self.memory.acknowledged || self.memory.doubt.is_some() {
            return Ok(());
        }
        let voucher = self.memory.account.voucher(None);
        self.commit(|_| ())?;
        let acknowledgement = Acknowledgement {
            voucher: (&voucher).into(),
            signature: signature(&voucher.digest(CHAIN_ID)),
        };
        match node.desk.acknowledge(acknowledgement).await {
            Ok(state) => assert_eq!(state.acknowledged, count),
            Err(refusal) => {
                assert!(node.life.is_over(), "{refusal:?}");
                return Err(Death::Node);
            }
        }
        self.memory.acknowledged = count;
        Ok(())
    }

    pub(super) async fn come_to_rest(&mut self, node: &Node) -> Step {
        self.lose_streams();
        self.clear_up(node).await?;
        self.acknowledge(node).await
    }

    /// Both sides agree, and nothing that anybody has seen is gone.
    pub(super) async fn check(&self, node: &Node) {
        let own = &self.memory.account.log;
        let Some(session) = node.session() else {
            assert!(self.shown.accepted.is_empty() && self.disk.leaves.is_empty());
            return;
        };
        let amount = {
            let state = session.lock();
            let (count, log) = (own.count(), &state.log);
            assert_eq!((log.next(), log.count()), (own.next(), count));
            assert_eq!(log.root(count), own.root(count));
            assert_eq!(log.amount(count), own.amount(count));
            for (number, leaf) in &self.shown.receipts {
                assert_eq!(log.receipt(*number), Some(*leaf));
                assert_eq!(self.disk.leaves.get(number), Some(leaf));
            }
            for (number, request) in &self.shown.accepted {
                assert_eq!(log.leaf(*number).unwrap().request, *request);
            }
            log.amount(count)
        };
        for number in &self.shown.given {
            let charged = self.disk.charges.get(number);
            assert_eq!(charged, Some(&self.disk.leaves[number].price));
        }
        assert!(self.disk.charges.values().sum::<u64>() <= amount);
    }
}

async fn stop(node: &Node, number: u64) -> Step {
    let by = signed(Call::Stop, number);
    let stopped = node.desk.stop((SESSION, number), &by).await;
    stopped.map(drop).map_err(|refusal| {
        assert!(node.life.is_over(), "{refusal:?}");
        Death::Node
    })
}

fn signed(call: Call, number: u64) -> [u8; 64] {
    let digest = call.digest(CHAIN_ID, SESSION, number, 0);
    user_key().sign_digest(&digest).unwrap()
}

fn check_signature(digest: &[u8; 32], signature: &str) {
    let key = record(SESSION).node.unwrap().key;
    assert!(is_signature(&key, digest, &hex::decode(signature).unwrap()));
}

fn asked(chat: &v1::Chat) -> Asked {
    Asked {
        request: chat.digest(),
        prompt_bytes: chat.prompt_bytes() as u32,
        max_answer_bytes: chat.max_answer_bytes,
        min_quality: chat.min_quality,
    }
}

fn ended(leaf: &Leaf) -> Ended {
    Ended {
        answer: leaf.answer,
        answer_bytes: leaf.answer_bytes,
        prompt_tokens: leaf.prompt_tokens,
        answer_tokens: leaf.answer_tokens,
        finish: leaf.finish,
    }
}
