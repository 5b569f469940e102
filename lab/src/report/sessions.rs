//! Attacks on sessions, the search over their parameters, and the user's costs, as tables.

use poq_lab::experiments::sessions::{Cost, Point, Row, Way};
use poq_lab::experiments::zoo::Promise;
use serde::Serialize;

use super::{head, line, money, percent};

/// The results of all experiments on sessions.
#[derive(Serialize)]
pub(crate) struct Results {
    /// The attacks.
    pub rows: Vec<Row>,
    /// The search over the parameters.
    pub points: Vec<Point>,
    /// What an answer costs its user.
    pub costs: Vec<Cost>,
}

/// The attacks as a Markdown table.
pub(crate) fn attacks_table(rows: &[Row]) -> String {
    let mut text = head(&[
        "strategy",
        "honest profit",
        "advantage",
        "verdict",
        "the node",
        "the user paid",
        "scored",
        "audited of these",
        "reputation",
        "promise",
    ]);
    for row in rows {
        text += &line(&[
            row.name.clone(),
            money(&row.honest),
            money(&row.advantage),
            row.verdict().into(),
            money(&row.node),
            money(&row.paid),
            percent(&row.scored),
            percent(&row.audited),
            format!("{:+.3}", row.reputation.mean),
            promise(row),
        ]);
    }
    text
}

fn promise(row: &Row) -> String {
    let what = match row.promise {
        Promise::None(reason) => return format!("none: {reason}"),
        Promise::GainsNothing => "gains nothing",
        Promise::Loses | Promise::LosesIfAudited => "loses",
    };
    let is = if row.keeps_promise() {
        "kept"
    } else {
        "BROKEN"
    };
    format!("{what}: {is}")
}

/// The search as a Markdown table.
pub(crate) fn search_table<'a>(points: impl Iterator<Item = &'a Point>) -> String {
    let mut text = head(&[
        "model",
        "φ",
        "sample_value",
        "max_order_price",
        "min_samples",
        "scored",
        "the user paid",
        "honest node",
        "deviation of a session's pay",
        "junk gains",
        "junk in half gains",
        "honest node, prompts that score low",
    ]);
    for point in points {
        text += &line(&[
            point.model.into(),
            format!("{:.2}", f64::from(point.floor_share) / 1e6),
            point.sample_value.to_string(),
            point.max_order_price.to_string(),
            point.min_samples.to_string(),
            percent(&point.scored),
            money(&point.paid),
            money(&point.honest),
            format!("{:.3}", point.spread.mean),
            money(&point.junk),
            money(&point.hidden),
            money(&point.low),
        ]);
    }
    text
}

/// What an answer costs its user, as a Markdown table.
pub(crate) fn costs_table(costs: &[Cost]) -> String {
    let mut text = head(&[
        "model",
        "way",
        "answers a session",
        "scored",
        "the user paid",
        "beside a task",
        "the node",
        "evaluators",
        "protocol",
        "gas",
    ]);
    for cost in costs {
        let (way, answers) = match cost.way {
            Way::Task => ("a task each", "–".into()),
            Way::Sampled(answers) => ("`SAMPLED`", answers.to_string()),
            Way::All(answers) => ("`ALL`", answers.to_string()),
        };
        let beside_task = match cost.way {
            Way::Task => "–".into(),
            Way::Sampled(_) | Way::All(_) => money(&cost.beside_task),
        };
        text += &line(&[
            cost.model.into(),
            way.into(),
            answers,
            percent(&cost.scored),
            money(&cost.paid),
            beside_task,
            money(&cost.node),
            money(&cost.evaluators),
            money(&cost.protocol),
            format!("{:.0}", cost.gas.mean),
        ]);
    }
    text
}
