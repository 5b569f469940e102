//! Texts that are meant to please, compared with right answers: their scores by judges, and their
//! payouts.

mod pages;
mod terms;

use std::sync::Arc;

use clap::ValueEnum;
use rayon::prelude::*;
use serde::Serialize;

use super::{Case, Comparison, Effort, progress, run_all};
use crate::casts::{honest, inference};
use crate::episode::Setting;
use crate::error::Result;
use crate::questions::Questions;
use crate::statistics::Estimate;
use crate::strategy::Inference;
use crate::texts::{Book, HONEST, Judge, Question};
use pages::{Page, adaptive, statics};

pub use terms::{AnswerTerms, Paid, SeatTerms};

/// Number of evaluators, as in the zoo for a committee of five.
const EVALUATORS: usize = 12;

/// The kinds of attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Ready texts, and the best of some of them by the judge
    Static,
    /// Junk that is edited while the judge's score rises
    Adaptive,
}

/// The setup of an experiment.
pub struct Plan {
    /// The judges.
    pub judges: Vec<Arc<Judge>>,
    /// The questions.
    pub questions: Vec<Question>,
    /// The kinds of attacks.
    pub kinds: Vec<Kind>,
    /// Most queries of the adaptive attack per prompt.
    pub queries: u32,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Ids of the judges.
    pub judges: Vec<String>,
    /// Number of prompts.
    pub prompts: usize,
    /// Queries of the adaptive attack per prompt.
    pub queries: u32,
    /// The judges' qualities, the right answer first.
    pub attacks: Vec<Measured>,
    /// The chain's payouts, judge by judge.
    pub pay: Vec<Pay>,
    /// Payouts to committees of all judges, and for answers to them, by other terms.
    pub terms: Option<Paid>,
}

/// The judges' qualities of one attack, in the judges' order.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Name of the attack.
    pub attack: &'static str,
    /// The judge that chose the text, if one did; the others show whether it pleases them too.
    pub against: Option<String>,
    /// Whether no text is an answer to its prompt.
    pub junk: bool,
    /// Mean calibrated quality over prompts, 0 to 1.
    pub quality: Vec<Estimate>,
    /// How often (0 to 1) the score is above the right answer's; a tie counts one half.
    pub beats: Vec<Estimate>,
    /// The text for each prompt.
    pub texts: Vec<Text>,
}

/// One answer.
#[derive(Clone, Debug, Serialize)]
pub struct Text {
    /// Its prompt.
    pub prompt: String,
    /// Its text.
    pub answer: String,
    /// Its quality by each judge, 0 to 1.
    pub quality: Vec<f64>,
}

/// A node's earnings with an attack on a chain with one judge, compared with its honest twin.
#[derive(Clone, Debug, Serialize)]
pub struct Pay {
    /// Id of the judge.
    pub judge: String,
    /// Name of the attack.
    pub attack: &'static str,
    /// Cost of a text for the node, in base units.
    pub cost: u64,
    /// The result.
    pub result: Comparison,
}

/// Generates the texts, has all judges score them, and pays for them on the state machine.
///
/// # Errors
/// If a judge cannot compute, or a run fails.
pub fn run(plan: &Plan, base: &Setting, effort: Effort) -> Result<Findings> {
    let pages = write(plan, base, effort.seed)?;
    let attacks: Result<Vec<Measured>> = pages.iter().map(|page| measure(plan, page)).collect();
    let attacks = attacks?;
    let judges: Vec<String> = plan.judges.iter().map(|judge| id(judge)).collect();
    let mut pay = Vec::new();
    for (place, judge) in plan.judges.iter().enumerate() {
        let against = |page: &&Page| page.against.is_none_or(|of| of == place);
        let own: Vec<&Page> = pages.iter().filter(against).collect();
        pay.extend(economics(judge, &plan.questions, &own, base, effort)?);
    }
    Ok(Findings {
        terms: Paid::of(&judges, &attacks),
        judges,
        prompts: plan.questions.len(),
        queries: plan.queries,
        attacks,
        pay,
    })
}

/// All texts, with the qualities of all judges.
fn write(plan: &Plan, base: &Setting, seed: u64) -> Result<Vec<Page>> {
    let has = |kind| plan.kinds.contains(&kind);
    let cost = base.world.evaluation_cost;
    let mut pages = vec![Page::right(&plan.questions)];
    if has(Kind::Static) {
        pages.extend(statics(&plan.judges, &plan.questions, cost, seed)?);
    }
    if has(Kind::Adaptive) {
        let found = adaptive(&plan.judges, &plan.questions, plan.queries, cost, seed);
        pages.extend(found?);
    }
    let pairs: Vec<(&Judge, &str, &str)> = pages
        .iter()
        .flat_map(|page| plan.questions.iter().zip(&page.texts))
        .flat_map(|(question, text)| {
            let judges = plan.judges.iter();
            judges.map(|judge| (judge.as_ref(), question.prompt.as_str(), text.as_str()))
        })
        .collect();
    let bar = progress(pairs.len() as u64, "scores");
    pairs.par_iter().try_for_each(|(judge, prompt, text)| {
        bar.inc(1);
        judge.score(prompt, text).map(drop)
    })?;
    bar.finish_and_clear();
    Ok(pages)
}

fn measure(plan: &Plan, page: &Page) -> Result<Measured> {
    let (mut quality, mut beats) = (Vec::new(), Vec::new());
    let mut texts: Vec<Text> = plan
        .questions
        .iter()
        .zip(&page.texts)
        .map(|(question, answer)| Text {
            prompt: question.prompt.clone(),
            answer: answer.clone(),
            quality: Vec::new(),
        })
        .collect();
    for judge in &plan.judges {
        let mut above = Vec::new();
        for (text, question) in texts.iter_mut().zip(&plan.questions) {
            text.quality
                .push(judge.quality(&text.prompt, &text.answer)?);
            let raw = judge.score(&text.prompt, &text.answer)?;
            let right = judge.score(&text.prompt, &question.right)?;
            above.push(match raw.cmp(&right) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            });
        }
        let own = texts.iter().filter_map(|text| text.quality.last().copied());
        quality.push(Estimate::of(&own.collect::<Vec<f64>>()));
        beats.push(Estimate::of(&above));
    }
    Ok(Measured {
        attack: page.name,
        against: page.against.map(|place| id(&plan.judges[place])),
        junk: page.junk,
        quality,
        beats,
        texts,
    })
}

/// For every page except the right answers: a node that sends it among honest ones, and its twin.
fn economics(
    judge: &Arc<Judge>,
    questions: &[Question],
    pages: &[&Page],
    base: &Setting,
    effort: Effort,
) -> Result<Vec<Pay>> {
    let prompts = questions.iter().map(|question| question.prompt.clone());
    let written: Vec<_> = pages
        .iter()
        .map(|page| (page.name, page.cost, page.texts.as_slice()))
        .collect();
    let book = Book::new(Arc::clone(judge), prompts.collect(), &written)?;
    let setting = Setting {
        world: base.world.flat(),
        questions: Questions::Written(Arc::new(book)),
        ..base.clone()
    };
    let attacks = || pages.iter().filter(|page| page.name != HONEST);
    let cases: Vec<Case> = attacks()
        .flat_map(|page| {
            let lying = inference(Inference::Texts(page.name), EVALUATORS);
            [honest(&lying), lying].map(|cast| Case {
                setting: setting.clone(),
                cast,
            })
        })
        .collect();
    let figures = run_all(&cases, effort)?;
    let pay = |(page, pair): (&&Page, &[Vec<_>])| Pay {
        judge: id(judge),
        attack: page.name,
        cost: page.cost,
        result: Comparison::of(&pair[0], &pair[1]),
    };
    Ok(attacks().zip(figures.chunks(2)).map(pay).collect())
}

fn id(judge: &Judge) -> String {
    judge.entry().id.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::attacks::{ATTACKS, words};
    use crate::texts::sample;
    use crate::world::scorer;

    /// A judge that likes the words of the prompt, or one that likes none of them.
    fn judge(id: &str, points: i32) -> Arc<Judge> {
        let entry = poq_proto::v1::EvaluatorModel {
            id: id.into(),
            ..scorer()
        };
        let overlap = move |prompt: &str, answer: &str| {
            let shared = words(answer).filter(|word| words(prompt).any(|of| of == *word));
            Ok(-8_000_000 + points * shared.count() as i32)
        };
        Arc::new(Judge::new(entry, overlap))
    }

    fn findings(kinds: &[Kind]) -> Findings {
        let plan = Plan {
            judges: vec![judge("vain", 1_000_000), judge("strict", -500_000)],
            questions: sample().unwrap(),
            kinds: kinds.to_vec(),
            queries: 60,
        };
        let effort = Effort {
            tasks: 20,
            runs: 2,
            seed: 1,
        };
        run(&plan, &Setting::new(effort.tasks), effort).unwrap()
    }

    #[test]
    fn every_attack_is_scored_by_every_judge_and_paid_by_its_own() {
        let found = findings(&[Kind::Static, Kind::Adaptive]);
        // The right answer; the attacks; the best of them and the adaptive one for each judge.
        assert_eq!(found.attacks.len(), 1 + ATTACKS.len() + 2 * 2);
        assert_eq!(found.pay.len(), 2 * (ATTACKS.len() + 2));
        for attack in &found.attacks {
            assert_eq!((attack.quality.len(), attack.texts.len()), (2, 30));
        }
        let right = &found.attacks[0];
        assert_eq!((right.attack, right.beats[0].mean), (HONEST, 0.5));
        let copy = &found.attacks[1];
        assert!(copy.quality[0].mean > right.quality[0].mean);
        assert!(copy.quality[1].mean < right.quality[1].mean);
        assert!(copy.beats[0].mean > 0.9 && copy.beats[1].mean < 0.1);
    }

    #[test]
    fn what_pleases_one_judge_is_shown_to_the_other() {
        let found = findings(&[Kind::Adaptive]);
        let [_, vain, strict] = &found.attacks[..] else {
            panic!("{:?}", found.attacks.len());
        };
        assert_eq!(vain.against.as_deref(), Some("vain"));
        assert_eq!(strict.against.as_deref(), Some("strict"));
        assert!(vain.quality[0].mean > strict.quality[0].mean);
        assert!(vain.quality[1].mean < strict.quality[1].mean);
        assert_eq!(found.pay[0].cost, 60 * 400);
    }
}
