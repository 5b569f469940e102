//! The texts of an experiment: one per attack and prompt.

use std::sync::Arc;

use rayon::prelude::*;

use super::progress;
use crate::error::Result;
use crate::random::generator;
use crate::texts::adaptive::Words;
use crate::texts::attacks::{ATTACKS, CHOICES, best};
use crate::texts::{HONEST, Judge, Question};
use crate::world::STANDARD;

/// Names in reports.
const BEST: &str = "the best of eight by the judge";
const ADAPTIVE: &str = "adaptive attack";

/// One text for every prompt.
pub(super) struct Page {
    pub name: &'static str,
    /// Index of the judge that chose the texts; `None` if there was none.
    pub against: Option<usize>,
    /// Whether no text is an answer to its prompt.
    pub junk: bool,
    /// Cost of one of them for its node, in base units.
    pub cost: u64,
    pub texts: Vec<String>,
}

impl Page {
    pub(super) fn right(questions: &[Question]) -> Self {
        Self {
            name: HONEST,
            against: None,
            junk: false,
            cost: STANDARD.cost,
            texts: questions
                .iter()
                .map(|question| question.right.clone())
                .collect(),
        }
    }
}

/// The attacks that need no judge, and for each judge the texts that it likes best. A score costs
/// the attacker `evaluation_cost`.
pub(super) fn statics(
    judges: &[Arc<Judge>],
    questions: &[Question],
    evaluation_cost: u64,
    seed: u64,
) -> Result<Vec<Page>> {
    let page = |(number, attack): (u64, &crate::texts::attacks::Attack)| {
        let text = |(place, question): (u64, &Question)| {
            attack.text(question, &mut generator(seed, "text", place, number))
        };
        Page {
            name: attack.name,
            against: None,
            junk: attack.junk,
            cost: attack.cost,
            texts: (0..).zip(questions).map(text).collect(),
        }
    };
    let mut pages: Vec<Page> = (0..).zip(&ATTACKS).map(page).collect();
    for (against, judge) in judges.iter().enumerate() {
        let text = |(place, question): (usize, &Question)| {
            let mut rng = generator(seed, "choice", place as u64, 0);
            best(question, &mut rng, |text| {
                judge.score(&question.prompt, text)
            })
        };
        let texts = questions.par_iter().enumerate().map(text);
        pages.push(Page {
            name: BEST,
            against: Some(against),
            junk: true,
            cost: CHOICES as u64 * evaluation_cost,
            texts: texts.collect::<Result<_>>()?,
        });
    }
    Ok(pages)
}

/// For each judge, the texts that `queries` edits found. A score costs the attacker
/// `evaluation_cost`.
pub(super) fn adaptive(
    judges: &[Arc<Judge>],
    questions: &[Question],
    queries: u32,
    evaluation_cost: u64,
    seed: u64,
) -> Result<Vec<Page>> {
    let scores = judges.len() as u64 * questions.len() as u64 * u64::from(queries);
    let bar = progress(scores, "queries of the adaptive attack");
    let mut pages = Vec::new();
    for (against, judge) in judges.iter().enumerate() {
        let text = |(place, question): (usize, &Question)| {
            let mut rng = generator(seed, "adaptive", place as u64, against as u64);
            let score = |text: &str| {
                bar.inc(1);
                judge.score(&question.prompt, text)
            };
            let found = Words::new(questions, place).climb(queries, &mut rng, score);
            found.map(|found| found.text)
        };
        let texts = questions.par_iter().enumerate().map(text);
        pages.push(Page {
            name: ADAPTIVE,
            against: Some(against),
            junk: true,
            cost: u64::from(queries) * evaluation_cost,
            texts: texts.collect::<Result<_>>()?,
        });
    }
    bar.finish_and_clear();
    Ok(pages)
}
