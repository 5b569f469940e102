use poq_proto::merkle::root_of_path;
use poq_proto::v1::DrawnLeaf;
use proptest::prelude::*;

use super::*;

const ESCROW: u64 = 1_000_000;
const WINDOW: u32 = 4;

fn allowed() -> Allowed {
    Allowed {
        terms: Terms {
            base_price: 100,
            price_per_prompt_byte: 1,
            price_per_answer_byte: 10,
            ..Terms::default()
        },
        escrow: ESCROW,
        max_order_price: 5_000,
        max_orders: None,
    }
}

fn asked(prompt_bytes: u32, max_answer_bytes: u32) -> Asked {
    Asked {
        request: [1; 32],
        prompt_bytes,
        max_answer_bytes,
        min_quality: 7,
    }
}

fn answer(bytes: u32) -> Ended {
    Ended {
        answer: [2; 32],
        answer_bytes: bytes,
        prompt_tokens: 3,
        answer_tokens: 4,
        finish: Finish::Stop,
    }
}

/// The voucher that the log itself would sign.
fn voucher(log: &Log, count: u64, ordered: Option<&Asked>) -> Voucher {
    let ceiling = ordered.map_or(0, |asked| log.ceiling(asked));
    Voucher {
        session: 1,
        number: log.next(),
        request: ordered.map_or([0; 32], |asked| asked.request),
        count,
        root: log.root(count).unwrap(),
        amount: log.amount(count),
        authorized: log.authorized(count) + ceiling,
    }
}

#[test]
fn the_leaf_of_an_answer_waits_for_the_ones_before_it() {
    let mut log = Log::new(allowed());
    for _ in 0..3 {
        log.order(asked(10, 100));
    }
    log.finish(1, answer(50));
    assert_eq!(log.open().collect::<Vec<_>>(), [0, 2]);
    assert_eq!((log.count(), log.leaf(1)), (0, None));
    let receipt = log.receipt(1).unwrap();
    assert_eq!(log.receipt(0), None);
    log.finish(0, answer(20));
    assert_eq!(log.count(), 2);
    let expected = Leaf {
        number: 1,
        request: [1; 32],
        answer: [2; 32],
        prompt_bytes: 10,
        answer_bytes: 50,
        prompt_tokens: 3,
        answer_tokens: 4,
        min_quality: 7,
        finish: Finish::Stop,
        price: 610,
        total: 310 + 610,
    };
    assert_eq!(log.leaf(1), Some(&expected));
    assert_eq!(receipt, expected.receipt());
    // The first end counts.
    log.finish(1, Ended::VOID);
    assert_eq!(log.leaf(1), Some(&expected));
    log.finish(2, Ended::VOID);
    let void = log.leaf(2).unwrap();
    assert_eq!(
        (void.price, void.total, void.finish),
        (0, 920, Finish::Void)
    );
    log.finish(9, answer(1));
    assert_eq!(log.count(), 3);
}

#[test]
fn an_empty_answer_costs_base_and_prompt() {
    let mut log = Log::new(allowed());
    log.order(asked(10, 100));
    log.finish(0, answer(0));
    assert_eq!(log.leaf(0).unwrap().price, 110);
}

#[test]
fn a_voucher_must_be_the_next_and_speak_of_this_log() {
    let mut log = Log::new(allowed());
    for _ in 0..3 {
        log.order(asked(10, 100));
    }
    log.finish(0, answer(20));
    log.finish(1, answer(20));
    assert_eq!(log.acknowledge(1), 1);
    let ask = asked(10, 100);
    let good = voucher(&log, 2, Some(&ask));
    let check = |voucher: Voucher| log.check_order(&voucher, &ask, WINDOW);
    assert_eq!(check(good), Ok(()));
    // Not all leaves need to be acknowledged.
    assert_eq!(check(voucher(&log, 1, Some(&ask))), Ok(()));
    for number in [0, 2, 4, u64::MAX] {
        let fault = check(Voucher { number, ..good });
        assert_eq!(fault, Err(Fault::Number { next: 3 }));
    }
    let of_log = Err(Fault::Log { acknowledged: 1 });
    assert_eq!(check(voucher(&log, 0, Some(&ask))), of_log);
    for wrong in [
        Voucher { count: 3, ..good },
        Voucher { count: 1, ..good },
        Voucher {
            count: u64::MAX,
            ..good
        },
        Voucher {
            root: [9; 32],
            ..good
        },
        Voucher {
            amount: good.amount + 1,
            ..good
        },
        Voucher { amount: 0, ..good },
    ] {
        assert_eq!(check(wrong), of_log, "{wrong:?}");
    }
    let expected = good.authorized;
    for authorized in [0, expected - 1, expected + 1] {
        let fault = check(Voucher { authorized, ..good });
        assert_eq!(fault, Err(Fault::Authorized { expected }));
    }
    let bare = voucher(&log, 2, None);
    assert_eq!(log.check_acknowledgement(&bare), Ok(()));
    assert_eq!(
        log.check_acknowledgement(&good),
        Err(Fault::Authorized {
            expected: bare.authorized
        })
    );
}

#[test]
fn price_escrow_and_window_bound_an_order() {
    let mut log = Log::new(Allowed {
        escrow: 4 * 1_110,
        ..allowed()
    });
    let check = |log: &Log, ask: &Asked, count, window| {
        log.check_order(&voucher(log, count, Some(ask)), ask, window)
    };
    let dear = asked(10, 490);
    let fault = Fault::Price {
        ceiling: 5_010,
        most: 5_000,
    };
    assert_eq!(check(&log, &dear, 0, WINDOW), Err(fault));
    let ask = asked(10, 100);
    for _ in 0..4 {
        assert_eq!(check(&log, &ask, 0, WINDOW), Ok(()));
        log.order(ask);
    }
    let fault = Fault::Escrow {
        authorized: 5 * 1_110,
        escrow: 4 * 1_110,
    };
    assert_eq!(check(&log, &ask, 0, 9), Err(fault));
    log.finish(0, answer(0));
    let small = asked(0, 80);
    let window = Fault::Window { window: WINDOW };
    assert_eq!(
        check(&log, &small, 0, WINDOW),
        Err(Fault::Escrow {
            authorized: 5_340,
            escrow: 4_440
        })
    );
    assert_eq!(check(&log, &small, 1, 3), Err(Fault::Window { window: 3 }));
    assert_eq!(check(&log, &small, 1, WINDOW), Ok(()));
    log.order(small);
    assert_eq!(check(&log, &asked(0, 0), 1, WINDOW), Err(window));
}

#[test]
fn a_log_that_is_scored_as_a_whole_has_a_last_number() {
    let mut log = Log::new(Allowed {
        max_orders: Some(2),
        ..allowed()
    });
    let ask = asked(10, 100);
    for _ in 0..2 {
        assert!(!log.is_full());
        let voucher = voucher(&log, 0, Some(&ask));
        assert_eq!(log.check_order(&voucher, &ask, WINDOW), Ok(()));
        log.order(ask);
    }
    assert!(log.is_full());
    let more = voucher(&log, 0, Some(&ask));
    let fault = Fault::Full { most: 2 };
    assert_eq!(log.check_order(&more, &ask, WINDOW), Err(fault));
    let bare = voucher(&log, 0, None);
    assert_eq!(log.check_acknowledgement(&bare), Ok(()));
}

#[test]
fn only_what_was_served_is_claimed() {
    let mut log = Log::new(allowed());
    for _ in 0..4 {
        log.order(asked(10, 100));
    }
    log.finish(0, answer(100));
    log.finish(1, Ended::VOID);
    log.finish(3, answer(0));
    assert_eq!(log.served_beyond(0), 2 * 1_110);
    assert_eq!(log.served_beyond(1), 1_110);
    assert_eq!(log.served_beyond(4), 0);
}

#[test]
fn points_find_their_leaves() {
    let mut log = Log::new(allowed());
    for (number, bytes) in [(0, 0), (1, 10), (2, 0), (3, 90)] {
        log.order(asked(0, 100));
        let ended = match number {
            2 => Ended::VOID,
            _ => answer(bytes),
        };
        log.finish(number, ended);
    }
    // Totals are 100, 300, 300 and 1300.
    let drawn = |open_points: &[u64], count| {
        log.drawn(&SessionSettlement {
            count,
            open_points: open_points.to_vec(),
            ..SessionSettlement::default()
        })
    };
    assert_eq!(drawn(&[0, 99, 100, 299, 300, 1_299], 4), [0, 1, 3]);
    assert_eq!(drawn(&[99, 300], 3), [0]);
    assert!(drawn(&[], 4).is_empty() && drawn(&[1_300], 4).is_empty());
    let all = SessionSettlement {
        count: 4,
        all_drawn: true,
        leaves: vec![DrawnLeaf {
            number: 1,
            ..DrawnLeaf::default()
        }],
        ..SessionSettlement::default()
    };
    assert_eq!(log.drawn(&all), [0, 3]);
}

/// What may happen to a session, with numbers that choose among what is possible.
#[derive(Clone, Debug)]
enum Step {
    Order(u32, u32),
    Finish(prop::sample::Index, u32),
    Lose(prop::sample::Index),
    Acknowledge(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0..500u32, 0..400u32).prop_map(|(prompt, most)| Step::Order(prompt, most)),
        3 => (index(), 0..400u32).prop_map(|(which, bytes)| Step::Finish(which, bytes)),
        1 => index().prop_map(Step::Lose),
        1 => index().prop_map(Step::Acknowledge),
    ]
}

proptest! {
    /// A naive account of the same session: whatever the order of events, the log has one leaf per
    /// finished number, in order, its sums are those of the account, and every leaf has a proof.
    #[test]
    fn any_interleaving_gives_the_same_log(steps in prop::collection::vec(step(), 0..120)) {
        let mut log = Log::new(allowed());
        let mut account: Vec<(Asked, Option<Ended>)> = Vec::new();
        let mut acknowledged = 0;
        for step in steps {
            let open: Vec<u64> = log.open().collect();
            match step {
                Step::Order(prompt, most) => {
                    let ask = asked(prompt, most);
                    let voucher = voucher(&log, acknowledged, Some(&ask));
                    if log.check_order(&voucher, &ask, u32::MAX).is_ok() {
                        prop_assert_eq!(log.order(ask), account.len() as u64);
                        account.push((ask, None));
                    }
                }
                Step::Finish(which, bytes) if !open.is_empty() => {
                    let number = open[which.index(open.len())];
                    let entry = &mut account[number as usize];
                    let ended = answer(bytes.min(entry.0.max_answer_bytes));
                    entry.1 = Some(ended);
                    log.finish(number, ended);
                }
                Step::Lose(which) if !open.is_empty() => {
                    let number = open[which.index(open.len())];
                    account[number as usize].1 = Some(Ended::VOID);
                    log.finish(number, Ended::VOID);
                }
                Step::Acknowledge(which) => {
                    let count = acknowledged + which.index((log.count() - acknowledged) as usize + 1) as u64;
                    prop_assert_eq!(log.check_acknowledgement(&voucher(&log, count, None)), Ok(()));
                    prop_assert_eq!(log.acknowledge(count), count - acknowledged);
                    acknowledged = count;
                }
                Step::Finish(..) | Step::Lose(_) => {}
            }
            let finished = account.iter().take_while(|(_, ended)| ended.is_some()).count() as u64;
            prop_assert_eq!(log.count(), finished);
            prop_assert_eq!(log.acknowledged(), acknowledged);
        }
        let terms = allowed().terms;
        let mut total = 0;
        for (number, (ask, ended)) in account.iter().enumerate().take(log.count() as usize) {
            let ended = ended.unwrap();
            if ended.finish != Finish::Void {
                total += terms.price(ask.prompt_bytes.into(), ended.answer_bytes.into());
            }
            let leaf = *log.leaf(number as u64).unwrap();
            prop_assert_eq!((leaf.number, leaf.total), (number as u64, total));
            for count in [number as u64 + 1, log.count()] {
                let proofs = log.proofs(&[number as u64, count], count);
                prop_assert_eq!(proofs.len(), 1);
                prop_assert_eq!(proofs[0].0, leaf);
                let found = root_of_path(&leaf.encode(), number as u64, count, &proofs[0].1);
                prop_assert_eq!(found, log.root(count));
            }
        }
        let open = account[acknowledged as usize..].iter();
        let ceilings = open.map(|(ask, _)| terms.price(ask.prompt_bytes.into(), ask.max_answer_bytes.into()));
        prop_assert_eq!(voucher(&log, acknowledged, None).authorized, log.amount(acknowledged) + ceilings.sum::<u64>());
    }
}
