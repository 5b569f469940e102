use poq_proto::v1::SessionStatus;
use sha2::{Digest, Sha256};

use super::*;
use crate::stream::journal::Signed;
use crate::stream::log::{Asked, Ended};
use crate::stream::session::Session;
use crate::stream::testing::{SESSION, User, chat, record};
use crate::stream::window::Window;

/// A session with answers of 50 bytes, some of them acknowledged, and unfinished orders after them.
fn session(acknowledged: u64, answered: u64, running: u64) -> Session {
    let session = Session::new(record(SESSION), Window::new(0));
    let mut user = User::new(SESSION);
    {
        let mut state = session.lock();
        for number in 0..answered + running {
            let order = user.order(chat("Why?"));
            let voucher = poq_proto::Voucher::try_from(&order.voucher).unwrap();
            state.log.order(asked(&order.chat));
            state.take(Signed {
                voucher,
                signature: [number as u8; 64],
            });
            if number < answered {
                state.log.finish(number, ended(50));
            }
            if number < acknowledged {
                user.log.finish(number, ended(50));
            }
        }
        let voucher = user.voucher(None);
        state.take(Signed {
            voucher,
            signature: [9; 64],
        });
    }
    session
}

fn asked(chat: &v1::Chat) -> Asked {
    Asked {
        request: chat.digest(),
        prompt_bytes: 4,
        max_answer_bytes: chat.max_answer_bytes,
        min_quality: 0,
    }
}

fn ended(bytes: usize) -> Ended {
    Ended {
        answer: Sha256::digest("a".repeat(bytes)).into(),
        answer_bytes: bytes as u32,
        prompt_tokens: 1,
        answer_tokens: 1,
        finish: v1::Finish::Stop,
    }
}

fn closing() -> v1::Session {
    v1::Session {
        status: SessionStatus::Closing.into(),
        updated_height: 500,
        due_height: 600,
        ..record(SESSION)
    }
}

fn is_due_at(session: &Session, record: &v1::Session, height: u64) -> bool {
    is_due(record, &mut session.lock(), height)
}

#[test]
fn an_open_session_is_settled_when_it_is_used_up() {
    let one = 604;
    let plenty = session(2, 2, 0);
    let rich = v1::Session {
        escrow: 2 * one * 10 / 8 + 10,
        ..record(SESSION)
    };
    assert!(!is_due_at(&plenty, &rich, 5));
    assert!(plenty.lock().ending.is_none());
    let used = v1::Session {
        escrow: 2 * one * 10 / 8,
        ..record(SESSION)
    };
    assert!(is_due_at(&plenty, &used, 5));
}

#[test]
fn shortly_before_its_end_a_session_takes_no_orders_and_waits_for_what_runs() {
    let session = session(1, 2, 1);
    let open = record(SESSION);
    assert!(!is_due_at(&session, &open, open.due_height - LAST - 1));
    assert!(session.lock().ending.is_none());
    let last = open.due_height - LAST;
    assert!(!is_due_at(&session, &open, last));
    assert_eq!(session.lock().ending, Some(last));
    assert!(!is_due_at(&session, &open, last + GRACE));
    session.lock().log.finish(2, ended(50));
    // From now on the user has some blocks to acknowledge.
    assert!(!is_due_at(&session, &open, last + GRACE + 1));
    assert!(is_due_at(&session, &open, last + 2 * GRACE));
}

#[test]
fn a_closing_session_is_settled_once_all_is_acknowledged_or_time_runs_out() {
    assert!(is_due_at(&session(2, 2, 0), &closing(), 501));
    let waiting = session(1, 2, 0);
    assert!(!is_due_at(&waiting, &closing(), 501));
    assert!(!is_due_at(&waiting, &closing(), 501 + GRACE - 1));
    assert!(is_due_at(&waiting, &closing(), 501 + GRACE));
    let running = session(1, 1, 1);
    assert!(!is_due_at(&running, &closing(), 579));
    assert!(is_due_at(&running, &closing(), 580));
    for status in [SessionStatus::Drawing, SessionStatus::Final] {
        let settled = v1::Session {
            status: status.into(),
            ..closing()
        };
        assert!(!is_due_at(&session(2, 2, 0), &settled, 501));
    }
}

#[test]
fn the_newest_voucher_is_sent_and_what_was_served_beyond_it_is_named() {
    let session = session(1, 3, 1);
    let item = item(&session.lock()).unwrap();
    let voucher = item.voucher.unwrap();
    assert_eq!((voucher.count, voucher.amount), (1, 604));
    assert_eq!(item.signature, [9; 64]);
    // Two of the three orders beyond the voucher's count have ended.
    assert_eq!(item.unacknowledged, 2 * 5_104);
    assert!(item.unacknowledged <= voucher.authorized - voucher.amount);
    let unused = Session::new(record(SESSION), Window::new(0));
    assert!(super::item(&unused.lock()).is_none());
    // What an older voucher did not authorize is not claimed.
    let mut state = session.lock();
    let newest = state.newest.as_mut().unwrap();
    newest.voucher.authorized = newest.voucher.amount + 7;
    assert_eq!(super::item(&state).unwrap().unacknowledged, 7);
}
