//! The division of a session's amount, in integers; every remainder goes to the user (protocol
//! section 16).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "weights are below 2^64, parts below 2^20 and leaves below 2^32, in 128 bits"
)]

use poq_proto::v1::{
    DrawnLeaf, Session, SessionPayment, SessionRules, SessionSettlement, SessionStatus, Terms,
};
use poq_proto::{PPM, event};

use super::lifecycle::{end, settled};
use super::{node_of, sample};
use crate::arithmetic::{ratio, share, sum};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::nodes::SessionEnd;
use crate::modules::{bank, nodes};

/// The base units that the chain holds for a session, besides the pots of its leaves' tasks.
pub fn held(session: &Session) -> u64 {
    match (session.status(), &session.settlement) {
        (SessionStatus::Opening | SessionStatus::Open | SessionStatus::Closing, _) => {
            session.escrow
        }
        (
            SessionStatus::Drawing | SessionStatus::Revealing | SessionStatus::Scoring,
            Some(settlement),
        ) => {
            let rules = session.rules.unwrap_or_default();
            settlement.amount.saturating_sub(pots(&rules, settlement))
        }
        _ => 0,
    }
}

/// The pot of the committee that scores an answer with this price, base units.
pub(super) fn pot(rules: &SessionRules, price: u64) -> u64 {
    share(price, rules.evaluator_share.into())
}

fn pots(rules: &SessionRules, settlement: &SessionSettlement) -> u64 {
    let scored = settlement.leaves.iter().filter(|leaf| leaf.task_id != 0);
    let pots = scored.map(|leaf| pot(rules, leaf.price));
    pots.fold(0, u64::saturating_add)
}

/// Means over the drawn leaves, ppm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Means {
    /// Of the part of its share that the node earns.
    earned: u64,
    /// The same without the user's limits.
    delivered: u64,
    /// Of the quality by the model's terms; none if nobody judged a leaf.
    quality: Option<u64>,
}

/// The means, by the leaves' weights: points, or prices if every leaf is drawn. A missing leaf earns
/// nothing. A leaf that nobody judged does not count.
fn means(terms: &Terms, rules: &SessionRules, settlement: &SessionSettlement) -> Means {
    let floor = u64::from(rules.floor_share).min(PPM);
    let with_floor = |part: u64| floor + share(PPM - floor, part);
    let weight = |leaf: &DrawnLeaf| match settlement.all_drawn {
        true => leaf.price,
        false => leaf.points.into(),
    };
    let judged = || {
        let leaves = settlement.leaves.iter();
        leaves.filter_map(|leaf| Some((weight(leaf), leaf.min_quality, leaf.quality?)))
    };
    let judged_weight: u128 = judged().map(|(weight, ..)| u128::from(weight)).sum();
    let whole = judged_weight + u128::from(sample::missing(settlement));
    let mean = |part: &dyn Fn(u32, u32) -> u64| {
        let products = judged()
            .map(|(weight, limit, quality)| u128::from(weight) * u128::from(part(limit, quality)));
        let mean = products.sum::<u128>().checked_div(whole);
        mean.map(|mean| u64::try_from(mean).unwrap_or(PPM))
    };
    let delivered = |_, quality| terms.delivered_part(quality);
    Means {
        earned: mean(&|limit, quality| with_floor(terms.earned_part(limit, quality)))
            .unwrap_or(floor),
        delivered: mean(&|limit, quality| with_floor(delivered(limit, quality))).unwrap_or(floor),
        quality: mean(&delivered).filter(|_| judged_weight > 0),
    }
}

/// Divides the amount. What a user's limit withholds from the node goes to the protocol, so that a
/// limit saves its user nothing (ADR 40).
fn divide(
    rules: &SessionRules,
    settlement: &SessionSettlement,
    means: Means,
) -> Result<SessionPayment> {
    let amount = settlement.amount;
    let exceeding = || Error::broken("the shares of a session exceed its amount");
    let evaluators = share(amount, rules.evaluator_share.into());
    let protocol = share(amount, rules.protocol_share.into());
    let nodes_share = amount
        .checked_sub(evaluators)
        .and_then(|rest| rest.checked_sub(protocol))
        .ok_or_else(exceeding)?;
    let node = share(nodes_share, means.earned);
    let withheld = share(nodes_share, means.delivered).saturating_sub(node);
    let protocol = protocol.saturating_add(withheld);
    let pots = pots(rules, settlement);
    let spent = sum([node, protocol, pots])?;
    Ok(SessionPayment {
        earned_part: u32::try_from(means.earned).unwrap_or(u32::MAX),
        node,
        protocol,
        evaluators: pots,
        refund: amount.checked_sub(spent).ok_or_else(exceeding)?,
    })
}

/// Pays a session whose leaves are all judged, and ends it.
pub(super) fn pay_out(ctx: &mut Execution<'_>, session: &mut Session) -> Result<()> {
    let id = session.id;
    let operator = node_of(session)?.operator.clone();
    let (terms, rules) = (
        session.terms.unwrap_or_default(),
        session.rules.unwrap_or_default(),
    );
    let settlement = settled(session)?.clone();
    let means = means(&terms, &rules, &settlement);
    let payment = divide(&rules, &settlement, means)?;
    let earned = payment.node;
    let end_of_node = match sample::missing(&settlement) {
        0 => SessionEnd::Paid {
            earned,
            delivered: means.quality,
            weight: ratio(PPM, settlement.amount, rules.sample_value).min(PPM),
        },
        _ => SessionEnd::Missed {
            session: id,
            earned,
        },
    };
    nodes::end_session(ctx, &operator, end_of_node)?;
    if payment.node > 0 {
        bank::pay(ctx, &settlement.payout, payment.node)?;
        ctx.emit(
            event::NODE_PAID,
            &[
                (event::SESSION, &id),
                (event::NODE, &operator),
                (event::PAYOUT, &settlement.payout),
                (event::AMOUNT, &payment.node),
            ],
        );
    }
    bank::pay_protocol(ctx, payment.protocol)?;
    bank::pay(ctx, &session.user, payment.refund)?;
    ctx.emit(
        event::SESSION_FINAL,
        &[
            (event::SESSION, &id),
            (event::USER, &session.user),
            (event::NODE, &operator),
            (event::AMOUNT, &payment.node),
            (event::PRICE, &settlement.amount),
        ],
    );
    session.payment = Some(payment);
    end(ctx, session, SessionStatus::Final)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms() -> Terms {
        Terms {
            quality_floor: 200_000,
            quality_target: 700_000,
            ..Terms::default()
        }
    }

    fn rules() -> SessionRules {
        SessionRules {
            evaluator_share: 200_000,
            protocol_share: 50_000,
            floor_share: 100_000,
            ..SessionRules::default()
        }
    }

    fn leaf(price: u64, total: u64, points: u32, quality: Option<u32>) -> DrawnLeaf {
        DrawnLeaf {
            price,
            total,
            points,
            quality,
            task_id: 1,
            ended: true,
            ..DrawnLeaf::default()
        }
    }

    fn sampled(amount: u64, leaves: Vec<DrawnLeaf>, open_points: Vec<u64>) -> SessionSettlement {
        SessionSettlement {
            amount,
            leaves,
            open_points,
            ..SessionSettlement::default()
        }
    }

    #[test]
    fn a_missing_leaf_earns_nothing_and_an_unjudged_one_does_not_count() {
        let good = || leaf(10, 10, 1, Some(700_000));
        let of = |settlement: SessionSettlement| means(&terms(), &rules(), &settlement);
        let full = of(sampled(100, vec![good()], vec![]));
        assert_eq!((full.earned, full.quality), (1_000_000, Some(1_000_000)));
        let unjudged = of(sampled(100, vec![good(), leaf(10, 20, 3, None)], vec![]));
        assert_eq!(unjudged, full);
        let missing = of(sampled(100, vec![good()], vec![50]));
        assert_eq!((missing.earned, missing.quality), (500_000, Some(500_000)));
        let nobody = of(sampled(100, vec![leaf(10, 20, 3, None)], vec![]));
        assert_eq!((nobody.earned, nobody.quality), (100_000, None));
        let junk = of(sampled(100, vec![good(), leaf(10, 20, 3, Some(0))], vec![]));
        assert_eq!(junk.earned, (1_000_000 + 3 * 100_000) / 4);
        let nothing = of(sampled(100, vec![], vec![1, 2]));
        assert_eq!(nothing.earned, 0);
    }

    #[test]
    fn known_amounts() {
        let half = leaf(10_000, 10_000, 1, Some(450_000));
        let settlement = sampled(100_000, vec![half], vec![]);
        let means = means(&terms(), &rules(), &settlement);
        assert_eq!(means.earned, 550_000);
        let payment = divide(&rules(), &settlement, means).unwrap();
        let expected = SessionPayment {
            earned_part: 550_000,
            node: 41_250,
            protocol: 5_000,
            evaluators: 2_000,
            refund: 51_750,
        };
        assert_eq!(payment, expected);
    }

    #[test]
    fn a_users_limit_saves_its_user_nothing() {
        let settlement = |min_quality| {
            let leaf = DrawnLeaf {
                min_quality,
                ..leaf(10_000, 10_000, 1, Some(450_000))
            };
            sampled(100_000, vec![leaf], vec![])
        };
        let paid = |settlement: &SessionSettlement| {
            divide(&rules(), settlement, means(&terms(), &rules(), settlement)).unwrap()
        };
        let (without, with) = (paid(&settlement(0)), paid(&settlement(500_000)));
        assert_eq!(without.refund, with.refund);
        assert_eq!(with.earned_part, 325_000);
        assert_eq!(without.node - with.node, with.protocol - without.protocol);
    }

    proptest! {
        #[test]
        fn sum_out_is_sum_in(
            prices in prop::collection::vec((0u64..1 << 40, 0u32..20, prop::option::of(0u32..=1_000_000), 0u32..=1_000_000), 0..40),
            more in 0u64..1 << 40,
            all_drawn in any::<bool>(),
            open in 0usize..5,
            (evaluator_share, protocol_share, floor_share) in (0u32..=500_000, 0u32..=500_000, 0u32..=1_000_000),
        ) {
            let rules = SessionRules { evaluator_share, protocol_share, floor_share, ..rules() };
            let mut total = 0;
            let mut leaves = Vec::new();
            for (price, points, quality, min_quality) in prices {
                total += price;
                leaves.push(DrawnLeaf { min_quality, ..leaf(price, total, points, quality) });
            }
            let settlement = SessionSettlement {
                all_drawn,
                ..sampled(total + more, leaves, vec![0; open])
            };
            let means = means(&terms(), &rules, &settlement);
            prop_assert!(means.earned <= means.delivered && means.delivered <= PPM);
            let payment = divide(&rules, &settlement, means).unwrap();
            let SessionPayment { node, protocol, evaluators, refund, .. } = payment;
            prop_assert_eq!(node + protocol + evaluators + refund, settlement.amount);
            let session = Session {
                status: SessionStatus::Scoring.into(),
                rules: Some(rules),
                settlement: Some(settlement),
                ..Session::default()
            };
            prop_assert_eq!(held(&session), node + protocol + refund);
        }
    }
}
