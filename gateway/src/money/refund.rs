//! What of an answer's price comes back when its session ends.

use poq_client::receipt::final_price;
use poq_proto::v1::{Session, SessionStatus};

/// What comes back of an answer's `price`, base units; 0 while its session is not over.
///
/// Of an answer in the settlement it is its share of the refund. An answer that the node left out of its
/// settlement comes back whole, unless the chain burnt ceilings in its place. In a session that was
/// never settled, all comes back.
pub(crate) fn given_back(record: &Session, number: u64, price: u64) -> u64 {
    let settlement = match record.status() {
        SessionStatus::Refunded => None,
        SessionStatus::Final => record.settlement.as_ref(),
        _ => return 0,
    };
    match settlement {
        Some(settlement) if number >= settlement.count => match settlement.unacknowledged {
            0 => price,
            _ => 0,
        },
        _ => final_price(record, price, true).map_or(0, |last| price.saturating_sub(last)),
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{SessionPayment, SessionSettlement};
    use proptest::prelude::*;

    use super::*;

    fn record(status: SessionStatus, settlement: SessionSettlement, refund: u64) -> Session {
        Session {
            status: status.into(),
            settlement: Some(settlement),
            payment: Some(SessionPayment {
                refund,
                ..SessionPayment::default()
            }),
            ..Session::default()
        }
    }

    fn settled(count: u64, amount: u64, unacknowledged: u64) -> SessionSettlement {
        SessionSettlement {
            count,
            amount,
            unacknowledged,
            ..SessionSettlement::default()
        }
    }

    #[test]
    fn what_comes_back_depends_on_how_the_session_ended() {
        let scoring = record(SessionStatus::Scoring, settled(2, 300, 0), 200);
        assert_eq!(given_back(&scoring, 0, 100), 0);
        let ended = record(SessionStatus::Final, settled(2, 300, 0), 200);
        assert_eq!(given_back(&ended, 0, 100), 66);
        assert_eq!(given_back(&ended, 2, 100), 100, "it was not settled");
        let burnt = record(SessionStatus::Final, settled(2, 300, 50), 200);
        assert_eq!(given_back(&burnt, 2, 100), 0, "the chain burnt its ceiling");
        let empty = record(SessionStatus::Final, settled(1, 0, 0), 0);
        assert_eq!(given_back(&empty, 0, 0), 0);
        let refunded = Session {
            status: SessionStatus::Refunded.into(),
            ..Session::default()
        };
        assert_eq!(given_back(&refunded, 9, 100), 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn shares_never_exceed_the_refund(
            prices in prop::collection::vec(0..u64::from(u32::MAX), 1..50),
            refund in any::<u64>(),
        ) {
            let amount: u64 = prices.iter().sum();
            let refund = refund % (amount + 1);
            let record = record(SessionStatus::Final, settled(prices.len() as u64, amount, 0), refund);
            let shares = (0..).zip(&prices).map(|(number, price)| given_back(&record, number, *price));
            let shares: Vec<_> = shares.collect();
            let sum: u64 = shares.iter().sum();
            prop_assert!(sum <= refund && refund - sum <= prices.len() as u64);
            prop_assert!(shares.iter().zip(&prices).all(|(share, price)| share <= price));
        }
    }
}
