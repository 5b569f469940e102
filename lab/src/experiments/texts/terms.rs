//! Effects of payment terms on texts, by the production rules of aggregation and settlement in
//! closed form: over every way to seat the judges in a committee, each seat with equal probability.

use poq_app::modules::params::default_params;
use poq_app::modules::tasks::aggregate::{Opinion, aggregate};
use poq_app::modules::tasks::settlement::seat_amount;
use poq_proto::PPM;
use poq_proto::v1::{Params, Terms};
use serde::Serialize;

use super::Measured;
use crate::texts::HONEST;

/// Seats of a committee.
const SEATS: usize = 5;
/// Tolerances (ppm) to compare.
const TOLERANCES: [u32; 5] = [50_000, 100_000, 200_000, 400_000, 1_000_000];
/// Floors and targets (ppm) to compare.
const FLOORS: [u32; 4] = [0, 50_000, 100_000, 200_000];
const TARGETS: [u32; 4] = [200_000, 300_000, 450_000, 700_000];

/// The fractions of their shares that evaluators earn for right answers, 0 to 1.
#[derive(Clone, Debug, Serialize)]
pub struct SeatTerms {
    /// `score_tolerance` in ppm.
    pub tolerance: u32,
    /// Id of the seat's judge.
    pub judge: String,
    /// With its judge's score.
    pub honest: f64,
    /// With its judge's score, if it is the judge's only seat.
    pub alone: f64,
    /// With its judge's mean quality of right answers, without a score.
    pub guess: f64,
}

/// The fractions of their share that answers earn, 0 to 1.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerTerms {
    /// In ppm.
    pub floor: u32,
    /// In ppm.
    pub target: u32,
    /// The right answers.
    pub right: f64,
    /// The attack that earns most, and how much.
    pub most: (&'static str, f64),
    /// The almost free attack that earns most, and how much.
    pub most_of_junk: (&'static str, f64),
}

/// Results of the judges' qualities.
#[derive(Clone, Debug, Serialize)]
pub struct Paid {
    /// Mean distance between two judges' qualities of a right answer, 0 to 1; 0 with one judge.
    pub distance: f64,
    /// By tolerance and judge.
    pub seats: Vec<SeatTerms>,
    /// By floor and target.
    pub answers: Vec<AnswerTerms>,
}

impl Paid {
    /// Computes the results; empty without right answers.
    pub fn of(judges: &[String], attacks: &[Measured]) -> Option<Self> {
        let right = attacks.iter().find(|attack| attack.attack == HONEST)?;
        let right = qualities(right);
        let seats = TOLERANCES
            .iter()
            .flat_map(|tolerance| (0..judges.len()).map(move |judge| (*tolerance, judge)))
            .map(|(tolerance, judge)| SeatTerms {
                tolerance,
                judge: judges[judge].clone(),
                ..seat_terms(&right, judge, tolerance)
            });
        let pairs = FLOORS
            .iter()
            .flat_map(|floor| TARGETS.map(|target| (*floor, target)))
            .filter(|(floor, target)| floor < target);
        Some(Self {
            distance: distance(&right),
            seats: seats.collect(),
            answers: pairs
                .map(|(floor, target)| answer_terms(&right, attacks, floor, target))
                .collect(),
        })
    }
}

/// Qualities (ppm) of each text by each judge.
fn qualities(measured: &Measured) -> Vec<Vec<u32>> {
    let ppm = |quality: &f64| (quality * PPM as f64).round() as u32;
    let of = |text: &super::Text| text.quality.iter().map(ppm).collect();
    measured.texts.iter().map(of).collect()
}

fn distance(texts: &[Vec<u32>]) -> f64 {
    let pairs = texts.iter().flat_map(|by| {
        (0..by.len()).flat_map(move |one| (0..one).map(move |other| by[one].abs_diff(by[other])))
    });
    mean(pairs.map(|apart| f64::from(apart) / PPM as f64))
}

/// Every way to fill `seats` seats with judges.
fn committees(judges: usize, seats: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..judges.pow(seats as u32)).map(move |number| {
        (0..seats)
            .map(|seat| number / judges.pow(seat as u32) % judges)
            .collect()
    })
}

fn consensus(qualities: impl Iterator<Item = u32>) -> u32 {
    let opinions: Vec<Opinion> = qualities
        .map(|quality| Opinion { quality, weight: 1 })
        .collect();
    aggregate(default_params().aggregation(), &opinions)
}

fn seat_terms(right: &[Vec<u32>], judge: usize, tolerance: u32) -> SeatTerms {
    let params = Params {
        score_tolerance: tolerance,
        ..default_params()
    };
    let prior = mean(right.iter().map(|by| f64::from(by[judge]))).round() as u32;
    let earned = |own: u32, by: &[u32], others: &[usize]| {
        let quality = consensus(others.iter().map(|of| by[*of]).chain([own]));
        seat_amount(&params, PPM, quality, Some(own)) as f64 / PPM as f64
    };
    let (mut honest, mut alone, mut guess) = (Vec::new(), Vec::new(), Vec::new());
    for by in right {
        for others in committees(by.len(), SEATS - 1) {
            honest.push(earned(by[judge], by, &others));
            guess.push(earned(prior, by, &others));
            if !others.contains(&judge) {
                alone.push(earned(by[judge], by, &others));
            }
        }
    }
    SeatTerms {
        tolerance,
        judge: String::new(),
        honest: mean(honest.into_iter()),
        alone: mean(alone.into_iter()),
        guess: mean(guess.into_iter()),
    }
}

fn answer_terms(
    right: &[Vec<u32>],
    attacks: &[Measured],
    quality_floor: u32,
    quality_target: u32,
) -> AnswerTerms {
    let terms = Terms {
        base_price: 0,
        price_per_prompt_byte: 0,
        price_per_answer_byte: 0,
        quality_floor,
        quality_target,
    };
    let earned = |texts: &[Vec<u32>]| {
        let parts = texts.iter().flat_map(|by| {
            committees(by.len(), SEATS).map(|seats| {
                let quality = consensus(seats.iter().map(|judge| by[*judge]));
                terms.earned_part(0, quality) as f64 / PPM as f64
            })
        });
        mean(parts)
    };
    let most = |junk: bool| {
        attacks
            .iter()
            .filter(|attack| attack.attack != HONEST && (attack.junk || !junk))
            .map(|attack| (attack.attack, earned(&qualities(attack))))
            .fold(
                ("", 0.0),
                |most, next| if next.1 > most.1 { next } else { most },
            )
    };
    AnswerTerms {
        floor: quality_floor,
        target: quality_target,
        right: earned(right),
        most: most(false),
        most_of_junk: most(true),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committees_are_all_ways_to_fill_the_seats() {
        let all: Vec<_> = committees(2, 4).collect();
        assert_eq!(all.len(), 16);
        assert_eq!(all.iter().filter(|of| !of.contains(&1)).count(), 1);
        assert_eq!(committees(1, 4).collect::<Vec<_>>(), [[0, 0, 0, 0]]);
    }

    /// Judges at 0.2 and 0.4: a seat has the majority in 11 of 16 committees, and loses half of its
    /// share in the others at a tolerance of 0.4.
    #[test]
    fn who_disagrees_with_the_majority_earns_less() {
        let right = [vec![200_000, 400_000]];
        let terms = seat_terms(&right, 0, 400_000);
        assert!((terms.honest - (11.0 + 5.0 * 0.5) / 16.0).abs() < 1e-6);
        assert!((terms.alone - 0.5).abs() < 1e-6);
        assert!((distance(&right) - 0.2).abs() < 1e-9);
        // A single answer is its own mean.
        assert_eq!(terms.guess, terms.honest);
    }

    #[test]
    fn a_guess_earns_less_where_qualities_differ() {
        let right = [vec![100_000], vec![500_000]];
        let terms = seat_terms(&right, 0, 400_000);
        assert_eq!((terms.honest, terms.guess), (1.0, 0.5));
    }
}
