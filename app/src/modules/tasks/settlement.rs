//! The split of a task's escrow, in integers; every remainder goes to the user (protocol section
//! 9).

use poq_proto::v1::{Committee, Params, Task, TaskStatus, Terms};

use crate::arithmetic::{ratio, share, sum};
use crate::error::{Error, Result};

/// The inputs of a task's settlement.
pub struct Bill<'a> {
    /// The parameters in force.
    pub params: &'a Params,
    /// The model's terms when the task was submitted.
    pub terms: Terms,
    /// Length of the prompt.
    pub prompt_bytes: u64,
    /// Length of the answer.
    pub answer_bytes: u64,
    /// The escrow, base units.
    pub escrow: u64,
    /// The user's `min_quality`, ppm.
    pub min_quality: u32,
    /// Consensus quality, ppm.
    pub quality: u32,
    /// The quality that each seat revealed, ppm; none for a silent seat.
    pub revealed: Vec<Option<u32>>,
    /// Whether the escrow is only the pot of a committee that scores a session's answer.
    pub is_pot: bool,
}

impl<'a> Bill<'a> {
    /// The bill of a task whose committee agreed on a quality.
    pub fn of(params: &'a Params, task: &Task, committee: &Committee, quality: u32) -> Self {
        Self {
            params,
            terms: task.terms.unwrap_or_default(),
            prompt_bytes: task.prompt_bytes.into(),
            answer_bytes: task.answer.as_ref().map_or(0, |answer| answer.bytes.into()),
            escrow: task.escrow,
            min_quality: task.min_quality,
            quality,
            revealed: committee
                .seats
                .iter()
                .map(|seat| seat.reveal.map(|reveal| reveal.quality))
                .collect(),
            is_pot: task.leaf.is_some(),
        }
    }

    /// The price, base units: at most the escrow.
    fn price(&self) -> u64 {
        let price = self.terms.price(self.prompt_bytes, self.answer_bytes);
        price.min(self.escrow)
    }

    /// The division of the price, or of the pot.
    ///
    /// # Errors
    /// `INTERNAL` if the parameters give away more than the price.
    pub fn shares(&self) -> Result<Shares> {
        let seats = self.revealed.len();
        match self.is_pot {
            true => Ok(Shares::of_pot(self.escrow, seats)),
            false => Shares::of_price(self.params, self.price(), seats),
        }
    }
}

/// The amounts in base units. All but `price` sum up to the escrow.
#[derive(Debug, PartialEq, Eq)]
pub struct Amounts {
    /// The price of the task, of which the refund may return a part.
    pub price: u64,
    /// The inference node's amount.
    pub inference: u64,
    /// The amount of each seat.
    pub evaluators: Vec<u64>,
    /// The protocol's share.
    pub protocol: u64,
    /// The part that returns to the user.
    pub refund: u64,
}

/// The price of an answered task, base units: at most its escrow.
pub fn price_of(task: &Task) -> u64 {
    let answer_bytes = task.answer.as_ref().map_or(0, |answer| answer.bytes);
    let terms = task.terms.unwrap_or_default();
    terms
        .price(task.prompt_bytes.into(), answer_bytes.into())
        .min(task.escrow)
}

/// The base units that a false quality of the task could move: what audits secure.
pub fn at_stake(task: &Task) -> u64 {
    task.leaf
        .map_or_else(|| price_of(task), |leaf| leaf.at_stake)
}

/// The base units that the user's limit withholds from a node. They go to the protocol, so a limit
/// saves its user nothing (ADR 40).
fn withheld(bill: &Bill<'_>, full: u64, paid: u64) -> u64 {
    share(full, bill.terms.delivered_part(bill.quality)).saturating_sub(paid)
}

/// The price of cancelling a task while its first node works on it: the evaluators' and the
/// protocol's shares in the price of the longest answer. The user knows by then which node was
/// drawn, so free cancelling would be a choice of the node (ADR 40). It is 0 once a node has missed
/// the task.
pub fn cancellation_fee(params: &Params, task: &Task) -> u64 {
    let is_first = task.status() == TaskStatus::Assigned && task.assignments.len() == 1;
    let terms = task.terms.unwrap_or_default();
    let longest = terms.price(task.prompt_bytes.into(), task.max_answer_bytes.into());
    let shares = u64::from(params.evaluator_share).saturating_add(params.protocol_share.into());
    match is_first {
        true => share(longest.min(task.escrow), shares),
        false => 0,
    }
}

/// The part of the escrow that returns to the user of a task without a quality.
pub fn returned(task: &Task) -> u64 {
    task.escrow
        .saturating_sub(task.unjudged_pay)
        .saturating_sub(task.cancellation_fee)
}

/// The division of a price before the quality of anyone's work counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The share of the whole committee.
    pub evaluators: u64,
    /// The most that one seat can earn.
    pub per_seat: u64,
    /// The most that the inference node can earn.
    pub inference: u64,
    /// The protocol's share.
    pub protocol: u64,
}

impl Shares {
    fn of_price(params: &Params, price: u64, seats: usize) -> Result<Self> {
        let evaluators = share(price, params.evaluator_share.into());
        let protocol = share(price, params.protocol_share.into());
        let inference = price
            .checked_sub(evaluators)
            .and_then(|rest| rest.checked_sub(protocol))
            .ok_or_else(|| Error::broken("the shares exceed the price"))?;
        Ok(Self {
            evaluators,
            per_seat: evaluators.checked_div(seats as u64).unwrap_or(0),
            inference,
            protocol,
        })
    }

    /// All of a pot is the committee's.
    fn of_pot(pot: u64, seats: usize) -> Self {
        Self {
            evaluators: pot,
            per_seat: pot.checked_div(seats as u64).unwrap_or(0),
            inference: 0,
            protocol: 0,
        }
    }
}

/// The amount that a seat earns of its share: all of it at the consensus quality, nothing from
/// `score_tolerance` away or without a reveal, linear between.
pub fn seat_amount(params: &Params, per_seat: u64, quality: u32, revealed: Option<u32>) -> u64 {
    let tolerance = u64::from(params.score_tolerance);
    let distance = revealed.map_or(tolerance, |revealed| revealed.abs_diff(quality).into());
    ratio(per_seat, tolerance.saturating_sub(distance), tolerance)
}

/// Splits the escrow.
pub fn split(bill: &Bill<'_>) -> Result<Amounts> {
    let (price, shares) = (bill.price(), bill.shares()?);
    let earned = bill.terms.earned_part(bill.min_quality, bill.quality);
    let inference = share(shares.inference, earned);
    let withheld = withheld(bill, shares.inference, inference);
    let protocol = shares.protocol.saturating_add(withheld);
    let evaluators: Vec<u64> = bill
        .revealed
        .iter()
        .map(|revealed| seat_amount(bill.params, shares.per_seat, bill.quality, *revealed))
        .collect();
    let paid = evaluators.iter().copied();
    let spent = sum(paid.chain([inference, protocol]))?;
    let refund = bill
        .escrow
        .checked_sub(spent)
        .ok_or_else(|| Error::broken("a task costs more than its escrow"))?;
    Ok(Amounts {
        price,
        inference,
        evaluators,
        protocol,
        refund,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::modules::params::default_params;

    fn terms() -> Terms {
        Terms {
            base_price: 1_000,
            price_per_prompt_byte: 1,
            price_per_answer_byte: 10,
            quality_floor: 200_000,
            quality_target: 700_000,
        }
    }

    fn bill(params: &Params, terms: Terms) -> Bill<'_> {
        Bill {
            params,
            terms,
            prompt_bytes: 100,
            answer_bytes: 890,
            escrow: 20_000,
            min_quality: 0,
            quality: 700_000,
            revealed: vec![Some(700_000), Some(600_000), Some(900_001), None],
            is_pot: false,
        }
    }

    #[test]
    fn known_amounts() {
        let (params, terms) = (default_params(), terms());
        assert_eq!(
            split(&bill(&params, terms)).unwrap(),
            Amounts {
                price: 10_000,
                inference: 7_500,
                evaluators: vec![500, 250, 0, 0],
                protocol: 500,
                refund: 11_250,
            }
        );
    }

    #[test]
    fn a_pot_is_for_the_committee_alone() {
        let (params, terms) = (default_params(), terms());
        let mut bill = bill(&params, terms);
        (bill.escrow, bill.is_pot, bill.min_quality) = (2_000, true, 900_000);
        assert_eq!(
            split(&bill).unwrap(),
            Amounts {
                price: 2_000,
                inference: 0,
                evaluators: vec![500, 250, 0, 0],
                protocol: 0,
                refund: 1_250,
            }
        );
    }

    #[test]
    fn below_the_users_limit_half_is_earned_and_nothing_saved() {
        let (params, terms) = (default_params(), terms());
        let mut bill = bill(&params, terms);
        let whole = split(&bill).unwrap();
        bill.min_quality = 700_001;
        let half = split(&bill).unwrap();
        assert_eq!(half.inference, whole.inference / 2);
        assert_eq!(half.refund, whole.refund);
        assert_eq!(half.protocol, whole.protocol + whole.inference.div_ceil(2));
        bill.quality = 200_000;
        assert_eq!(split(&bill).unwrap().inference, 0);
    }

    proptest! {
        #[test]
        fn sum_out_is_sum_in(
            escrow in any::<u64>(),
            base in any::<u64>(),
            per_byte in any::<u64>(),
            (prompt_bytes, answer_bytes) in (0u64..1 << 20, 0u64..1 << 20),
            (quality, min_quality) in (0u32..=1_000_000, 0u32..=1_000_000),
            revealed in prop::collection::vec(prop::option::of(0u32..=1_000_000), 1..64),
            (evaluator_share, protocol_share) in (0u32..=500_000, 0u32..=500_000),
            score_tolerance in 1u32..=1_000_000,
            is_pot in any::<bool>(),
        ) {
            let params = Params { evaluator_share, protocol_share, score_tolerance, ..default_params() };
            let terms = Terms {
                base_price: base,
                price_per_prompt_byte: per_byte,
                price_per_answer_byte: per_byte,
                ..terms()
            };
            let bill = Bill {
                params: &params, terms, prompt_bytes, answer_bytes, escrow, min_quality,
                quality, revealed, is_pot,
            };
            let amounts = split(&bill).unwrap();
            let out = u128::from(amounts.inference)
                + u128::from(amounts.protocol)
                + u128::from(amounts.refund)
                + amounts.evaluators.iter().map(|amount| u128::from(*amount)).sum::<u128>();
            prop_assert_eq!(out, u128::from(escrow));
            prop_assert!(amounts.price <= escrow);
            // A user's limit does not change what the user pays.
            let unlimited = split(&Bill { min_quality: 0, ..bill }).unwrap();
            prop_assert_eq!(amounts.refund, unlimited.refund);
        }
    }
}
