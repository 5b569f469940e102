//! Results for texts that are meant to please, as tables.

use poq_lab::experiments::texts::{Findings, Measured, Paid};
use poq_lab::statistics::Estimate;

use super::{head, line, money, percent};

/// The judges' qualities, the texts found against each, and the chain's payouts.
pub(super) fn tables(findings: &Findings) -> String {
    let terms = findings.terms.as_ref().map(terms).unwrap_or_default();
    let parts = [judged(findings), found(findings), paid(findings), terms];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn judged(findings: &Findings) -> String {
    let mut columns = vec!["attack".to_owned(), "made to please".into()];
    for judge in &findings.judges {
        columns.push(format!("quality by {judge}"));
        columns.push("beats the right answer".into());
    }
    let mut text = head(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    for attack in &findings.attacks {
        let against = attack.against.clone().unwrap_or_default();
        let mut cells = vec![attack.attack.to_owned(), against];
        for (quality, beats) in attack.quality.iter().zip(&attack.beats) {
            cells.push(part(quality));
            cells.push(percent(beats));
        }
        text += &line(&cells);
    }
    text
}

/// For each attack that a judge chose, the text that this judge likes best.
fn found(findings: &Findings) -> String {
    let chosen = |attack: &Measured| {
        let against = attack.against.as_ref()?;
        let judge = findings.judges.iter().position(|of| of == against)?;
        let texts = attack.texts.iter();
        let best = texts.max_by(|a, b| a.quality[judge].total_cmp(&b.quality[judge]))?;
        let qualities: Vec<String> = best.quality.iter().map(|of| format!("{of:.3}")).collect();
        Some(format!(
            "- {} against {against}: {:?} to {:?} has {}\n",
            attack.attack,
            best.answer,
            best.prompt,
            qualities.join(" and "),
        ))
    };
    findings.attacks.iter().filter_map(chosen).collect()
}

fn paid(findings: &Findings) -> String {
    let mut text = head(&[
        "judge",
        "an inference node sends",
        "cost of an answer",
        "honest profit",
        "advantage of lying",
        "verdict",
        "paid for a lie",
        "audited",
    ]);
    for pay in &findings.pay {
        text += &line(&[
            pay.judge.clone(),
            pay.attack.into(),
            pay.cost.to_string(),
            money(&pay.result.honest),
            money(&pay.result.advantage),
            pay.result.verdict().into(),
            format!("{:.0}", pay.result.payout_for_lies.mean),
            percent(&pay.result.audited),
        ]);
    }
    text
}

/// Earnings of seats and answers by other terms.
fn terms(paid: &Paid) -> String {
    let mut text = format!(
        "Two judges' qualities of a right answer are {:.3} apart on average.\n\n",
        paid.distance
    );
    text += &head(&[
        "score_tolerance",
        "judge of the seat",
        "honest",
        "honest, alone with its judge",
        "guesses the mean",
    ]);
    for seat in &paid.seats {
        text += &line(&[
            seat.tolerance.to_string(),
            seat.judge.clone(),
            share(seat.honest),
            share(seat.alone),
            share(seat.guess),
        ]);
    }
    text += "\n";
    text += &head(&[
        "quality_floor",
        "quality_target",
        "right answers",
        "most of all attacks",
        "most of junk",
    ]);
    for answer in &paid.answers {
        let attack = |(name, part): &(&str, f64)| format!("{} ({name})", share(*part));
        text += &line(&[
            answer.floor.to_string(),
            answer.target.to_string(),
            share(answer.right),
            attack(&answer.most),
            attack(&answer.most_of_junk),
        ]);
    }
    text
}

/// A fraction of a share.
fn share(part: f64) -> String {
    format!("{:.0} %", 100.0 * part)
}

fn part(estimate: &Estimate) -> String {
    format!("{:.3} ± {:.3}", estimate.mean, estimate.margin)
}
