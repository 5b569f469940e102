//! Demands on a set of parameters in closed form, and its cost.

use poq_app::modules::params::{max_price, validate};
use poq_proto::v1::Params;
use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

use crate::casts::STAKE;
use crate::world::{STANDARD, World, prior, prior_mean};

const PPM: f64 = 1e6;

/// The demands on parameters; every number is a judgement, and printed with the result.
#[derive(Clone, Debug, Serialize)]
pub struct Demands {
    /// Price of the dearest task that must be allowed, in base units: prompt and answer as long as
    /// the defaults permit, at the template's prices.
    pub dearest: u64,
    /// A seat must earn this multiple of its cost.
    pub wage: f64,
    /// An audited lie must lose, on average, this multiple of what a seat can gain by it.
    pub deterrence: f64,
    /// Whether the work that a ring saves must be covered in addition to the price.
    pub covers_savings: bool,
    /// A lone liar must be caught within `caught_within` seats with this probability.
    pub caught: f64,
    /// Number of seats.
    pub caught_within: u32,
    /// Fraction of all evaluators that lie without regard to profit.
    pub careless: f64,
    /// Highest fraction of tasks that they may decide without an audit.
    pub decided_by_careless: f64,
    /// Typical difference between honest evaluators of different models, in ppm.
    pub plural_distance: u32,
    /// Fraction of the seat's share that they must still earn.
    pub plural_wage: f64,
    /// Withholding must cost this multiple of what a seat of the dearest task earns.
    pub withholding: f64,
    /// Highest `slash_audit`, in ppm, from the protocol's table of penalties. A fault in honest
    /// software that many nodes run costs all of them as much.
    pub highest_slash: u32,
    /// Number of validators, each of which computes every audit.
    pub validators: u32,
    /// Rate of wrong reveals of honest seats (faulty hardware).
    pub faults: f64,
    /// Rate of missed reveals of honest seats (outages).
    pub outages: f64,
    /// Prices of incoming tasks, as multiples of the world's, and their fractions.
    pub prices: Vec<(u64, f64)>,
}

impl Default for Demands {
    fn default() -> Self {
        Self {
            dearest: 3_700_000,
            wage: 2.0,
            deterrence: 10.0,
            covers_savings: true,
            caught: 0.95,
            caught_within: 300,
            careless: 0.2,
            decided_by_careless: 0.06,
            plural_distance: 100_000,
            plural_wage: 0.5,
            withholding: 2.0,
            highest_slash: 100_000,
            validators: 100,
            faults: 1e-4,
            outages: 1e-5,
            prices: vec![(1, 0.9), (10, 0.09), (70, 0.01)],
        }
    }
}

/// The cost of a set of parameters, and the demands that it misses.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Total in base units per task: scores, audits by all validators, and losses of honest
    /// evaluators by faults and outages.
    pub cost: f64,
    /// Part for the committee's scores.
    pub scores: f64,
    /// Part for audits.
    pub audits: f64,
    /// Part for slashes of honest evaluators.
    pub accidents: f64,
    /// The missed demands.
    pub misses: Vec<String>,
}

impl Demands {
    /// Evaluates a set of parameters.
    pub fn assess(&self, params: &Params, world: &World) -> Finding {
        let (seats, stake) = (f64::from(params.committee_size), STAKE as f64);
        let slash = f64::from(params.slash_audit) / PPM * stake;
        let withheld = f64::from(params.slash_no_reveal) / PPM * stake;
        let scores = seats * world.evaluation_cost as f64;
        let rate: f64 = self
            .prices
            .iter()
            .map(|(factor, part)| part * audit_rate(params, world.price().saturating_mul(*factor)))
            .sum();
        let audits = rate * f64::from(self.validators) * world.evaluation_cost as f64;
        let accidents = seats * (self.faults * rate * slash + self.outages * withheld);
        Finding {
            cost: scores + audits + accidents,
            scores,
            audits,
            accidents,
            misses: self.misses(params, world),
        }
    }

    fn misses(&self, params: &Params, world: &World) -> Vec<String> {
        let share = seat_share(params, world.price());
        let effort = world.evaluation_cost as f64;
        let slash = f64::from(params.slash_audit) / PPM * STAKE as f64;
        let least_rate = audit_rate(params, 0);
        let mut misses = Vec::new();
        let mut demand = |met: bool, name: &str| {
            if !met {
                misses.push(name.to_owned());
            }
        };
        demand(validate(params).is_ok(), "the chain takes it");
        demand(
            max_price(params) >= self.dearest,
            "the dearest task is secured",
        );
        demand(share >= self.wage * effort, "a seat pays for its work");
        demand(
            lazy_advantage(params, world) < 0.0,
            "guessing loses without audits",
        );
        demand(
            least_rate * slash >= self.deterrence * (share + effort),
            "an audited lie loses far more than a seat",
        );
        demand(
            !self.covers_savings || self.covers_savings_at(params, world),
            "a ring loses more than price and saved work",
        );
        demand(
            1.0 - (1.0 - least_rate).powi(self.caught_within as i32) >= self.caught,
            "a lone liar is caught soon",
        );
        demand(
            (1.0 - least_rate) * majority(params.committee_size, self.careless)
                <= self.decided_by_careless,
            "careless evaluators decide few tasks",
        );
        let distance = f64::from(self.plural_distance) / f64::from(params.score_tolerance);
        demand(1.0 - distance >= self.plural_wage, "plural committees earn");
        let dearest_seat = seat_share(params, max_price(params));
        let withheld = f64::from(params.slash_no_reveal) / PPM * STAKE as f64;
        demand(
            params.slash_audit <= self.highest_slash,
            "no slash above the protocol's table",
        );
        demand(
            withheld >= self.withholding * dearest_seat,
            "withholding costs more than any seat",
        );
        misses
    }

    fn covers_savings_at(&self, params: &Params, world: &World) -> bool {
        let seats = f64::from(params.committee_size);
        let at_stake = f64::from(params.slash_audit) / PPM * seats * STAKE as f64 / 2.0;
        let saved = STANDARD.cost as f64 + seats * world.evaluation_cost as f64;
        self.prices.iter().all(|(factor, _)| {
            let price = world.price().saturating_mul(*factor);
            audit_rate(params, price) * at_stake >= price as f64 + saved
        })
    }
}

/// Probability (0..=1) of an audit of a task with this price, if every seat has the minimum stake
/// (protocol section 9).
fn audit_rate(params: &Params, price: u64) -> f64 {
    let weight = f64::from(params.committee_size) * STAKE as f64;
    let at_stake = f64::from(params.slash_audit) / PPM * weight / 2.0;
    let rate = f64::from(params.audit_margin) / PPM * price as f64 / at_stake;
    rate.max(f64::from(params.min_audit_rate) / PPM).min(1.0)
}

/// Most that a seat earns, in base units.
fn seat_share(params: &Params, price: u64) -> f64 {
    f64::from(params.evaluator_share) / PPM * price as f64 / f64::from(params.committee_size)
}

/// Gain per seat of a lone evaluator that reports the prior mean instead of computing, without
/// audits: the saved work, minus the part of its share that its distance costs.
pub fn lazy_advantage(params: &Params, world: &World) -> f64 {
    let guess = prior_mean();
    let tolerance = f64::from(params.score_tolerance);
    let lost = |quality: &u32| (f64::from(quality.abs_diff(guess)) / tolerance).min(1.0);
    let lost = prior().iter().map(lost).sum::<f64>() / prior().len() as f64;
    world.evaluation_cost as f64 - seat_share(params, world.price()) * lost
}

/// Probability that a fraction of all evaluators gets more than half of the seats.
fn majority(seats: u32, part: f64) -> f64 {
    Binomial::new(part, u64::from(seats)).map_or(1.0, |seated| seated.sf(u64::from(seats / 2)))
}

#[cfg(test)]
mod tests {
    use poq_app::modules::params::default_params;

    use super::*;

    #[test]
    fn majorities_are_binomial() {
        // 10 · 0.2³ · 0.8² + 5 · 0.2⁴ · 0.8 + 0.2⁵.
        assert!((majority(5, 0.2) - 0.05792).abs() < 1e-9);
        assert!((majority(3, 0.2) - 0.104).abs() < 1e-9);
    }

    #[test]
    fn audits_follow_the_price_between_their_bounds() {
        let params = Params {
            min_audit_rate: 10_000,
            ..default_params()
        };
        assert_eq!(audit_rate(&params, 0), 0.01);
        // 1.5 · 2.5 million over 10 % of 250 million.
        assert!((audit_rate(&params, 2_500_000) - 0.15).abs() < 1e-12);
        assert_eq!(audit_rate(&params, u64::MAX), 1.0);
    }

    #[test]
    fn each_demand_can_be_missed() {
        type Case = (fn(&mut Params), &'static str);
        let cases: [Case; 10] = [
            (|p| p.slash_no_reveal = 0, "the chain takes it"),
            (|p| p.slash_audit = 10_000, "the dearest task is secured"),
            (
                |p| p.slash_audit = 200_000,
                "no slash above the protocol's table",
            ),
            (|p| p.committee_size = 21, "a seat pays for its work"),
            (
                |p| p.score_tolerance = 1_000_000,
                "guessing loses without audits",
            ),
            (
                |p| p.min_audit_rate = 0,
                "an audited lie loses far more than a seat",
            ),
            (
                |p| p.audit_margin = 1_000_000,
                "a ring loses more than price and saved work",
            ),
            (|p| p.min_audit_rate = 1_000, "a lone liar is caught soon"),
            (
                |p| p.committee_size = 3,
                "careless evaluators decide few tasks",
            ),
            (|p| p.score_tolerance = 100_000, "plural committees earn"),
        ];
        let (demands, world) = (Demands::default(), World::default());
        assert!(demands.assess(&default_params(), &world).misses.is_empty());
        for (change, name) in cases {
            let mut params = default_params();
            change(&mut params);
            let misses = demands.assess(&params, &world).misses;
            assert!(misses.iter().any(|miss| miss == name), "{name}: {misses:?}");
        }
    }

    #[test]
    fn every_precaution_costs() {
        let (demands, world) = (Demands::default(), World::default());
        let cost = |change: fn(&mut Params)| {
            let mut params = default_params();
            change(&mut params);
            demands.assess(&params, &world).cost
        };
        let defaults = cost(|_| ());
        assert!(cost(|p| p.committee_size = 7) > defaults);
        assert!(cost(|p| p.min_audit_rate = 100_000) > defaults);
        assert!(cost(|p| p.slash_no_reveal = 100_000) > defaults);
    }
}
