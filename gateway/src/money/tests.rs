//! The account of a session, against a played node and a real store, in any order of events.

mod random;

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_proto::v1::{self, Finish, Terms};
use poq_proto::{Leaf, Voucher};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::store::charges::Charge;
use crate::store::orders::{self, Asker};
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

/// The receipt of an answer.
fn receipt(number: u64, ordered: &Ordered, text: &str) -> Leaf {
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
        total: 0,
    }
}

#[test]
fn only_a_receipt_for_what_was_ordered_is_taken() {
    let mut book = Book::new(SESSION, terms(), LIMITS);
    let order = ordered(1);
    book.accepted(order.clone());
    let right = receipt(0, &order, "text");
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
        (receipt(0, &order, &"a".repeat(200)), Fault::Answer(0)),
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
    let receipts = [receipt(0, &orders[0], "one"), receipt(1, &orders[1], "two")];
    let first = receipts[0].after(0);
    let second = receipts[1].after(first.total);
    book.receive(receipts[1]).unwrap();
    assert_eq!((book.count(), book.bare()), (0, None));
    assert_eq!(book.authorized(), orders[0].ceiling + orders[1].ceiling);
    book.receive(receipts[0]).unwrap();
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

#[test]
fn a_receipt_is_the_nodes_and_for_the_text() {
    let key = poq_client::Key::from_bytes(&[7; 32]).unwrap();
    let order = ordered(1);
    let right = receipt(0, &order, "text");
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
    for before in ["", "text that came before the node failed"] {
        assert!(verify((&message, &signature), before, by).is_ok());
    }
    let (message, signature) = signed(&Leaf {
        answer: right.answer,
        ..void
    });
    let with_digest = failed(verify((&message, &signature), "text", by));
    assert_eq!(with_digest, Unproven::Fault(Fault::Answer(0)));
}
