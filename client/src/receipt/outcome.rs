//! What the chain made of an answer of a session.

use std::fmt::{self, Display, Formatter};

use poq_proto::v1::{self, DrawnLeaf, Session, SessionSettlement, SessionStatus};
use poq_proto::{Leaf, PPM};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{AnswerPart, Error, GATEWAY_OBJECT};

/// How far an answer is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Signed by the node; the chain has no root with it. A leaf that the node left out of its root
    /// stays here.
    Provisional,
    /// Below the root on the chain.
    Anchored,
    /// The answers that are scored are drawn.
    Scoring,
    /// Paid.
    Final,
    /// The node never settled, and nothing was paid.
    Refunded,
}

/// What the chain made of an answer. Qualities are ppm, amounts base units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How far it is.
    pub phase: Phase,
    /// Whether the answer was drawn and revealed, to be scored; absent before the reveals are over, and
    /// if the record is compact.
    pub is_drawn: Option<bool>,
    /// The task that scores it.
    pub task: Option<u64>,
    /// Its own quality, if it was scored.
    pub own_quality: Option<u32>,
    /// The mean over the session's scored answers, once paid; absent if the record is compact.
    pub session_quality: Option<u32>,
    /// Price in the leaf.
    pub price: u64,
    /// The price less its share of what the session gave back, once that is known.
    pub final_price: Option<u64>,
}

impl Outcome {
    /// The outcome by a session's record. `is_anchored`: the leaf leads to the root in it.
    pub fn new(record: &Session, leaf: &Leaf, is_anchored: bool) -> Self {
        let settlement = record.settlement.as_ref().filter(|_| is_anchored);
        let drawn = settlement.and_then(|settlement| drawn(settlement, leaf));
        let is_paid = record.payment.is_some();
        let is_listed = record.record_sha256.is_empty()
            && matches!(
                record.status(),
                SessionStatus::Scoring | SessionStatus::Final
            );
        Self {
            phase: Phase::new(record.status(), is_anchored),
            is_drawn: (drawn.is_some() || is_anchored && is_listed).then_some(drawn.is_some()),
            task: drawn.map(|drawn| drawn.task_id).filter(|task| *task > 0),
            own_quality: drawn.and_then(|drawn| drawn.quality),
            session_quality: settlement.filter(|_| is_paid).and_then(session_quality),
            price: leaf.price,
            final_price: final_price(record, leaf.price, is_anchored),
        }
    }
}

impl Phase {
    fn new(status: SessionStatus, is_anchored: bool) -> Self {
        match status {
            SessionStatus::Refunded => Self::Refunded,
            _ if !is_anchored => Self::Provisional,
            SessionStatus::Drawing => Self::Anchored,
            SessionStatus::Revealing | SessionStatus::Scoring => Self::Scoring,
            SessionStatus::Final => Self::Final,
            _ => Self::Provisional,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Provisional => "provisional",
            Self::Anchored => "anchored",
            Self::Scoring => "scoring",
            Self::Final => "final",
            Self::Refunded => "refunded",
        }
    }
}

/// The fields of a gateway's answer about a receipt that follow from the record, which it serves and
/// a verifier holds against the proven record.
///
/// # Errors
/// If the leaf's digests are malformed.
pub fn answer_summary(
    chain_id: &str,
    answer: &AnswerPart,
    record: &Session,
    is_anchored: bool,
) -> Result<Map<String, Value>, Error> {
    let leaf = Leaf::try_from(&answer.leaf).map_err(Error::Leaf)?;
    let outcome = Outcome::new(record, &leaf, is_anchored);
    let node = record.node.as_ref();
    let summary = json!({
        "object": GATEWAY_OBJECT,
        "receipt": format!("{}-{}", answer.session, leaf.number),
        "chain_id": chain_id,
        "session": answer.session,
        "model": record.model,
        "node": node.map(|node| &node.operator),
        "answer_sha256": hex::encode(leaf.answer),
        "price": leaf.price,
        "phase": outcome.phase.name(),
        "quality": {
            "own": outcome.own_quality.map(part),
            "session": outcome.session_quality.map(part),
        },
        "task": outcome.task,
        "final_price": outcome.final_price,
        "leaf": v1::Leaf::from(&leaf),
        "signature": hex::encode(&answer.signature),
        "node_key": node.map(|node| hex::encode(&node.key)),
        "path": answer.path,
    });
    match summary {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

fn drawn<'s>(settlement: &'s SessionSettlement, leaf: &Leaf) -> Option<&'s DrawnLeaf> {
    let mut leaves = settlement.leaves.iter();
    leaves.find(|drawn| drawn.number == leaf.number)
}

/// The mean quality of the drawn answers that were judged, weighted as on the chain, ppm.
fn session_quality(settlement: &SessionSettlement) -> Option<u32> {
    let weight = |leaf: &DrawnLeaf| match settlement.all_drawn {
        true => u128::from(leaf.price),
        false => leaf.points.into(),
    };
    let judged = settlement
        .leaves
        .iter()
        .filter_map(|leaf| Some((weight(leaf), u128::from(leaf.quality?))));
    let (sum, weights) = judged.fold((0, 0), |(sum, weights), (weight, quality)| {
        (sum + weight * quality, weights + weight)
    });
    u32::try_from(u128::checked_div(sum, weights)?).ok()
}

/// What an answer costs in the end, base units: its price less its share of what the session gave back,
/// which is rounded down, so that all shares together never exceed the refund. Nothing in a session that
/// was refunded; None while the session is not paid, and for an answer outside of its settlement.
pub fn final_price(record: &Session, price: u64, is_anchored: bool) -> Option<u64> {
    if record.status() == SessionStatus::Refunded {
        return Some(0);
    }
    let payment = record.payment.as_ref().filter(|_| is_anchored)?;
    let amount = u128::from(record.settlement.as_ref()?.amount);
    let refund = u128::from(payment.refund).min(amount);
    let back = (u128::from(price) * refund).checked_div(amount)?;
    Some(price.saturating_sub(u64::try_from(back).ok()?))
}

/// Parts per million as a number between 0 and 1.
fn part(ppm: u32) -> f64 {
    f64::from(ppm) / PPM as f64
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.phase.name())?;
        match (self.is_drawn, self.own_quality) {
            (_, Some(quality)) => write!(f, ", own quality {quality} ppm")?,
            (Some(true), None) => f.write_str(", drawn, not judged")?,
            (Some(false), None) => f.write_str(", not drawn")?,
            (None, None) if self.phase == Phase::Final => {
                f.write_str(", its own quality is no longer in the compact record")?;
            }
            (None, None) => {}
        }
        if let Some(quality) = self.session_quality {
            write!(f, ", mean of the session {quality} ppm")?;
        }
        write!(f, ", price {}", self.price)?;
        if let Some(price) = self.final_price {
            write!(f, ", final price {price}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{Finish, SessionPayment};

    use super::*;

    fn leaf(number: u64) -> Leaf {
        Leaf {
            number,
            request: [1; 32],
            answer: [2; 32],
            prompt_bytes: 1,
            answer_bytes: 1,
            prompt_tokens: 1,
            answer_tokens: 1,
            min_quality: 0,
            finish: Finish::Stop,
            price: 100,
            total: 100 * (number + 1),
        }
    }

    fn paid(refund: u64) -> Session {
        let drawn = |number, points, quality| DrawnLeaf {
            number,
            points,
            quality,
            task_id: 9,
            ..DrawnLeaf::default()
        };
        Session {
            status: SessionStatus::Final.into(),
            settlement: Some(SessionSettlement {
                count: 5,
                amount: 500,
                leaves: vec![
                    drawn(0, 3, Some(800_000)),
                    drawn(1, 1, Some(400_000)),
                    drawn(2, 9, None),
                ],
                ..SessionSettlement::default()
            }),
            payment: Some(SessionPayment {
                refund,
                ..SessionPayment::default()
            }),
            ..Session::default()
        }
    }

    #[test]
    fn the_final_price_is_less_by_the_share_of_the_refund() {
        let mut record = paid(200);
        let expected = Outcome {
            phase: Phase::Final,
            is_drawn: Some(true),
            task: Some(9),
            own_quality: Some(400_000),
            session_quality: Some(700_000),
            price: 100,
            final_price: Some(60),
        };
        assert_eq!(Outcome::new(&record, &leaf(1), true), expected);
        record.status = SessionStatus::Refunded.into();
        assert_eq!(Outcome::new(&record, &leaf(1), true).final_price, Some(0));
    }

    #[test]
    fn a_leaf_outside_of_the_root_stays_provisional() {
        let outcome = Outcome::new(&paid(200), &leaf(1), false);
        assert_eq!(
            (outcome.phase, outcome.final_price, outcome.session_quality),
            (Phase::Provisional, None, None)
        );
        assert_eq!(outcome.is_drawn, None);
    }

    #[test]
    fn prices_weigh_where_all_are_drawn() {
        let mut record = paid(0);
        let settlement = record.settlement.as_mut().unwrap();
        settlement.all_drawn = true;
        for (leaf, price) in settlement.leaves.iter_mut().zip([1, 3, 5]) {
            leaf.price = price;
        }
        let outcome = Outcome::new(&record, &leaf(4), true);
        assert_eq!(outcome.session_quality, Some(500_000));
    }
}
