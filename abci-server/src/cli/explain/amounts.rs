//! The arithmetic of a settlement, computed with the application's own functions.

use poq_app::modules::audits::verdict;
use poq_app::modules::tasks::aggregate::{Opinion, aggregate, opinions};
use poq_app::modules::tasks::reveals::without_punished;
use poq_app::modules::tasks::settlement::{Bill, Shares, seat_amount, split};
use poq_proto::v1::{Aggregation, Committee, LeafOfSession, Params, Payout, Settlement, Task};

use super::{Amount, audit_result, fraction};

/// Every amount of a settled task with its computation, and a note if the parameters do not result in the
/// recorded amounts.
pub(super) fn amounts(task: &Task, params: &Params) -> (Vec<Amount>, Option<String>) {
    let (Some(settlement), Some(committee)) = (&task.settlement, task.committees.last()) else {
        return (compact_amounts(task), None);
    };
    let (committee, judged) = judged(task, committee);
    let bill = Bill::of(params, task, &committee, settlement.quality);
    let quality = aggregate(params.aggregation(), &opinions(&judged));
    let (Ok(shares), true) = (bill.shares(), is_as_recorded(&bill, quality, settlement)) else {
        let note = "the parameters have changed since the settlement, and this node no longer has the old \
                    ones: the amounts are shown without their computation";
        return (compact_amounts(task), Some(note.to_owned()));
    };
    let mut all = vec![
        consensus(params, &judged, quality),
        price(task, &bill, settlement),
    ];
    let payout = settlement.inference.as_ref();
    all.extend(payout.map(|payout| inference(task, params, settlement, payout, shares)));
    let seats = committee.seats.iter().zip(&settlement.evaluators);
    all.extend(seats.map(|(seat, payout)| {
        let revealed = seat.reveal.map(|reveal| reveal.quality);
        evaluator(params, payout, quality, shares, revealed)
    }));
    if task.leaf.is_none() {
        let words = protocol_words(params, settlement, shares);
        all.push(amount("protocol", settlement.protocol, words));
    }
    all.push(refund(task, settlement));
    (all, None)
}

/// The committee as paid, and the committee whose scores determine the quality. They differ if an audit
/// found a seat wrong.
fn judged(task: &Task, committee: &Committee) -> (Committee, Committee) {
    match audit_result(task) {
        Some(result) if !result.penalties.is_empty() => (
            without_punished(committee, result),
            verdict::with_references(committee, &result.scores),
        ),
        _ => (committee.clone(), committee.clone()),
    }
}

/// The amounts of a record that is compact or was settled with other parameters.
fn compact_amounts(task: &Task) -> Vec<Amount> {
    let Some(settlement) = &task.settlement else {
        return Vec::new();
    };
    match task.leaf {
        Some(leaf) => vec![pot(leaf, settlement), refund(task, settlement)],
        None => vec![
            amount("price", settlement.price, String::new()),
            amount("protocol", settlement.protocol, String::new()),
            refund(task, settlement),
        ],
    }
}

fn is_as_recorded(bill: &Bill<'_>, quality: u32, settlement: &Settlement) -> bool {
    split(bill).is_ok_and(|amounts| {
        let paid = settlement.evaluators.iter().map(|payout| payout.amount);
        quality == settlement.quality
            && amounts.price == settlement.price
            && amounts.inference == settlement.inference.as_ref().map_or(0, |one| one.amount)
            && paid.eq(amounts.evaluators)
            && amounts.protocol == settlement.protocol
            && amounts.refund == settlement.refund
    })
}

fn consensus(params: &Params, committee: &Committee, quality: u32) -> Amount {
    let mut opinions = opinions(committee);
    opinions.sort_unstable();
    let list = |form: fn(&Opinion) -> String| {
        let all: Vec<String> = opinions.iter().map(form).collect();
        all.join(", ")
    };
    let how = match params.aggregation() {
        Aggregation::Mean => {
            format!("mean of {}", list(|one| fraction(one.quality)))
        }
        Aggregation::TrimmedMean => format!(
            "mean of {} without the lowest and the highest quarter",
            list(|one| fraction(one.quality))
        ),
        Aggregation::WeightedMedian | Aggregation::Unspecified => format!(
            "lower median, each with its weight, of {}",
            list(|one| format!("{} ({})", fraction(one.quality), one.weight))
        ),
    };
    Amount {
        of: "quality".into(),
        amount: fraction(quality),
        how,
    }
}

/// The price, or the pot of a committee that scores an answer of a session.
fn price(task: &Task, bill: &Bill<'_>, settlement: &Settlement) -> Amount {
    if let Some(leaf) = task.leaf {
        return pot(leaf, settlement);
    }
    let terms = &bill.terms;
    let full = terms.price(bill.prompt_bytes, bill.answer_bytes);
    let mut how = format!(
        "{} + {} × {} prompt bytes + {} × {} answer bytes",
        terms.base_price,
        terms.price_per_prompt_byte,
        bill.prompt_bytes,
        terms.price_per_answer_byte,
        bill.answer_bytes
    );
    if full > task.escrow {
        how += &format!(" = {full}, at most the escrow");
    }
    amount("price", settlement.price, how)
}

fn pot(leaf: LeafOfSession, settlement: &Settlement) -> Amount {
    let LeafOfSession {
        session,
        number,
        price,
        ..
    } = leaf;
    let how = format!(
        "the evaluators' share of {price}, the price of answer {number} of session {session}; the \
         node is paid with its session"
    );
    amount("pot", settlement.price, how)
}

fn protocol_words(params: &Params, settlement: &Settlement, shares: Shares) -> String {
    let share = format!("{} of the price", fraction(params.protocol_share));
    match settlement.protocol.saturating_sub(shares.protocol) {
        0 => share,
        withheld => format!("{share}, and {withheld} that the user's limit withheld from the node"),
    }
}

fn inference(
    task: &Task,
    params: &Params,
    settlement: &Settlement,
    payout: &Payout,
    shares: Shares,
) -> Amount {
    let terms = task.terms.unwrap_or_default();
    let earned = terms.earned_part(task.min_quality, settlement.quality);
    let why = if settlement.quality < task.min_quality {
        format!(
            "half of what the model's terms give, since the quality is below the user's {}",
            fraction(task.min_quality)
        )
    } else {
        format!(
            "0 up to quality {}, all from {} on, linear between",
            fraction(terms.quality_floor),
            fraction(terms.quality_target)
        )
    };
    amount(
        &paid_to(payout),
        payout.amount,
        format!(
            "inference: (price − {} × price − {} × price) = {}, × {} earned: {why}",
            fraction(params.evaluator_share),
            fraction(params.protocol_share),
            shares.inference,
            fraction(u32::try_from(earned).unwrap_or(u32::MAX))
        ),
    )
}

fn evaluator(
    params: &Params,
    payout: &Payout,
    quality: u32,
    shares: Shares,
    revealed: Option<u32>,
) -> Amount {
    let how = match revealed {
        None => "evaluator: revealed no score, or a wrong one".to_owned(),
        Some(revealed) => format!(
            "evaluator: a seat's {} of {} for the committee, × max(0, 1 − {} / {}), its distance \
             from the quality over the tolerance",
            shares.per_seat,
            shares.evaluators,
            fraction(revealed.abs_diff(quality)),
            fraction(params.score_tolerance)
        ),
    };
    let computed = seat_amount(params, shares.per_seat, quality, revealed);
    amount(&paid_to(payout), computed, how)
}

fn refund(task: &Task, settlement: &Settlement) -> Amount {
    amount(
        &task.user,
        settlement.refund,
        format!("refund: the rest of the {} that were held", task.escrow),
    )
}

/// The operator, with its payout account if that is another one.
fn paid_to(payout: &Payout) -> String {
    if payout.payout == payout.operator {
        payout.operator.clone()
    } else {
        format!("{} for {}", payout.payout, payout.operator)
    }
}

fn amount(of: &str, amount: u64, how: String) -> Amount {
    Amount {
        of: of.to_owned(),
        amount: amount.to_string(),
        how,
    }
}
