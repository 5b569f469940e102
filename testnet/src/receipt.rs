//! The receipt of a finalised task, for people and programs.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use poq_proto::PPM;
use poq_proto::v1::{Settlement, Task};
use serde::Serialize;

use crate::watch::{Seen, Step, Watch};
use poq_client::network::Description;
use poq_worker::program::terminal::without_controls;

/// A finalised task. Money is in base units of the denom, qualities are parts per million.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// The chain's id.
    pub chain_id: String,
    /// Denom of all amounts.
    pub denom: String,
    /// Id of the task.
    pub task: u64,
    /// Hash of the transaction that submitted the task.
    pub tx_hash: String,
    /// Account of the user.
    pub user: String,
    /// Id of the language model.
    pub model: String,
    /// Text of the prompt.
    pub prompt: String,
    /// SHA-256 of the prompt, hex, as it is on chain.
    pub prompt_sha256: String,
    /// Text of the answer.
    pub answer: String,
    /// SHA-256 of the answer, hex, as it is on chain.
    pub answer_sha256: String,
    /// The inference node.
    pub inference: InferencePart,
    /// The evaluators, in the order of the seats.
    pub committee: Vec<EvaluatorPart>,
    /// Consensus quality.
    pub quality: u32,
    /// Price of the answer.
    pub price: u64,
    /// Share of the validators.
    pub protocol: u64,
    /// Escrow of the user.
    pub escrow: u64,
    /// Refund to the user.
    pub refund: u64,
    /// Height at the end of each phase.
    pub heights: Heights,
    /// Duration of each phase, as seen by the user.
    pub milliseconds: Milliseconds,
}

/// The inference node's part.
#[derive(Clone, Debug, Serialize)]
pub struct InferencePart {
    /// Name in this network.
    pub name: String,
    /// Its account.
    pub operator: String,
    /// Prompt tokens, as declared by the node.
    pub prompt_tokens: u32,
    /// Answer tokens, as declared by the node.
    pub answer_tokens: u32,
    /// Its earnings.
    pub payout: u64,
}

/// One evaluator's part.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluatorPart {
    /// Name in this network.
    pub name: String,
    /// Its account.
    pub operator: String,
    /// The evaluator model of its seat.
    pub model: String,
    /// Raw score, micro-logits; absent if it revealed nothing.
    pub raw_score: Option<i32>,
    /// Calibrated quality; absent if it revealed nothing.
    pub quality: Option<u32>,
    /// Its earnings.
    pub payout: u64,
}

/// Block heights.
#[derive(Clone, Debug, Serialize)]
pub struct Heights {
    /// The block with the task.
    pub submitted: u64,
    /// The block with the answer.
    pub answered: u64,
    /// The reveal phase opened.
    pub revealing: u64,
    /// The quality was known.
    pub settled: u64,
    /// The money was paid.
    pub finalised: u64,
}

/// Durations of the phases; they add up to `total`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Milliseconds {
    /// From sending the transaction to the drawn inference node.
    pub inclusion: u64,
    /// To the answer on chain.
    pub answer: u64,
    /// To the last score.
    pub scores: u64,
    /// To the payout.
    pub finality: u64,
    /// From sending to payout.
    pub total: u64,
}

impl Receipt {
    /// The receipt of a task that was watched to its payout; `None` if it was not paid out.
    pub fn new(
        network: &Description,
        tx_hash: String,
        watch: &Watch,
        seen: &[Seen],
    ) -> Option<Self> {
        let task = watch.task();
        let (answer, settlement) = (task.answer.as_ref()?, task.settlement.as_ref()?);
        Some(Self {
            chain_id: network.chain_id.clone(),
            denom: network.denom.clone(),
            task: task.id,
            tx_hash,
            user: task.user.clone(),
            model: task.model.clone(),
            prompt: watch.payload().prompt.clone(),
            prompt_sha256: hex::encode(&task.prompt_sha256),
            answer: watch.payload().answer.clone().unwrap_or_default(),
            answer_sha256: hex::encode(&answer.sha256),
            inference: InferencePart {
                name: network.name(&answer.operator).into(),
                operator: answer.operator.clone(),
                prompt_tokens: answer.prompt_tokens,
                answer_tokens: answer.answer_tokens,
                payout: settlement
                    .inference
                    .as_ref()
                    .map_or(0, |payout| payout.amount),
            },
            committee: committee(network, task, settlement),
            quality: settlement.quality,
            price: settlement.price,
            protocol: settlement.protocol,
            escrow: task.escrow,
            refund: settlement.refund,
            heights: Heights {
                submitted: task.submitted_height,
                answered: answer.height,
                revealing: task.committees.last().map_or(0, |last| last.reveal_height),
                settled: settlement.height,
                finalised: settlement.final_height,
            },
            milliseconds: Milliseconds::new(seen),
        })
    }
}

pub(crate) fn committee(
    network: &Description,
    task: &Task,
    settlement: &Settlement,
) -> Vec<EvaluatorPart> {
    let seats = task.committees.last().map(|committee| &committee.seats);
    let payouts = settlement.evaluators.iter().map(|payout| payout.amount);
    seats
        .into_iter()
        .flatten()
        .zip(payouts)
        .map(|(seat, payout)| EvaluatorPart {
            name: network.name(&seat.operator).into(),
            operator: seat.operator.clone(),
            model: seat.evaluator_model.clone(),
            raw_score: seat.reveal.map(|reveal| reveal.raw_score),
            quality: seat.reveal.map(|reveal| reveal.quality),
            payout,
        })
        .collect()
}

impl Milliseconds {
    fn new(seen: &[Seen]) -> Self {
        let at = |matches: fn(&Step) -> bool| {
            let first = seen.iter().find(|seen| matches(&seen.step));
            first.map_or(0, |seen| millis(seen.after))
        };
        let assigned = at(|step| matches!(step, Step::Assigned { .. }));
        let answered = at(|step| matches!(step, Step::Answered { .. }));
        let settled = at(|step| matches!(step, Step::Settled { .. }));
        let paid = at(|step| matches!(step, Step::Final));
        Self {
            inclusion: assigned,
            answer: answered.saturating_sub(assigned),
            scores: settled.saturating_sub(answered),
            finality: paid.saturating_sub(settled),
            total: paid,
        }
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Parts per million as a number between 0 and 1.
pub fn ratio(ppm: u32) -> String {
    format!("{:.3}", f64::from(ppm) / PPM as f64)
}

/// Micro-logits as logits.
pub fn logits(raw_score: i32) -> String {
    format!("{:+.6}", f64::from(raw_score) / PPM as f64)
}

impl Display for Receipt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let denom = &self.denom;
        writeln!(f, "Receipt of task {} on {}", self.task, self.chain_id)?;
        writeln!(f, "  transaction   {}", self.tx_hash)?;
        writeln!(f, "  user          {}", self.user)?;
        writeln!(f, "  model         {}", self.model)?;
        writeln!(f, "  prompt        {}", indented(&self.prompt))?;
        writeln!(f, "    sha256      {}", self.prompt_sha256)?;
        writeln!(f, "  answer        {}", indented(&self.answer))?;
        writeln!(f, "    sha256      {}", self.answer_sha256)?;
        writeln!(f, "  quality       {}", ratio(self.quality))?;
        writeln!(f, "  inference     {}", self.inference(denom))?;
        for evaluator in &self.committee {
            writeln!(f, "  evaluator     {}", evaluator.text(denom))?;
        }
        writeln!(f, "  protocol      {} {denom}", self.protocol)?;
        writeln!(
            f,
            "  user          escrow {} {denom}, refund {} {denom}",
            self.escrow, self.refund
        )?;
        let Heights {
            submitted,
            answered,
            revealing,
            settled,
            finalised,
        } = self.heights;
        writeln!(
            f,
            "  heights       submitted {submitted}, answered {answered}, revealing {revealing}, \
             settled {settled}, final {finalised}"
        )?;
        let ms = &self.milliseconds;
        write!(
            f,
            "  milliseconds  inclusion {}, answer {}, scores {}, finality {}, total {}",
            ms.inclusion, ms.answer, ms.scores, ms.finality, ms.total
        )
    }
}

impl Receipt {
    fn inference(&self, denom: &str) -> String {
        let InferencePart {
            name,
            prompt_tokens,
            answer_tokens,
            payout,
            ..
        } = &self.inference;
        format!("{name}: {prompt_tokens} + {answer_tokens} tokens, paid {payout} {denom}")
    }
}

impl EvaluatorPart {
    pub(crate) fn text(&self, denom: &str) -> String {
        let Self {
            name,
            model,
            payout,
            ..
        } = self;
        match (self.raw_score, self.quality) {
            (Some(raw_score), Some(quality)) => format!(
                "{name}: {model} {}, quality {}, paid {payout} {denom}",
                logits(raw_score),
                ratio(quality)
            ),
            _ => format!("{name}: silent, paid {payout} {denom}"),
        }
    }
}

/// Indents the lines of a text after the first one.
pub(crate) fn indented(text: &str) -> String {
    without_controls(text)
        .trim()
        .replace('\n', "\n                ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_does_not_control_the_terminal() {
        let lines = indented("a\u{1b}[31m\nb");
        assert_eq!(lines, "a\\u{1b}[31m\n                b");
    }

    #[test]
    fn phases_add_up_to_the_total() {
        let operator = || "a".to_owned();
        let steps = [
            (
                Step::Assigned {
                    operator: operator(),
                    attempt: 0,
                },
                600,
            ),
            (
                Step::Missed {
                    operator: operator(),
                },
                60_000,
            ),
            (
                Step::Assigned {
                    operator: operator(),
                    attempt: 1,
                },
                60_000,
            ),
            (
                Step::Answered {
                    text: "Paris".into(),
                },
                61_500,
            ),
            (Step::Settled { quality: 900_000 }, 63_000),
            (Step::Final, 65_000),
        ];
        let seen = steps.map(|(step, after)| Seen {
            step,
            height: 1,
            after: Duration::from_millis(after),
        });
        let ms = Milliseconds::new(&seen);
        assert_eq!(
            (ms.inclusion, ms.answer, ms.scores, ms.finality),
            (600, 60_900, 1_500, 2_000)
        );
        assert_eq!(ms.inclusion + ms.answer + ms.scores + ms.finality, ms.total);
    }

    #[test]
    fn numbers_are_shown_in_their_units() {
        assert_eq!(ratio(912_345), "0.912");
        assert_eq!(logits(-11_010_000), "-11.010000");
    }
}
