//! Writes `economics-of-sessions.md`: the reasons for the default parameters of sessions, and
//! what an answer costs its user.

mod cost;

use std::path::Path;

use poq_app::modules::params::default_sessions;
use poq_lab::experiments::Effort;
use poq_lab::experiments::sessions::{ANSWERS, Point, Row, of_run};
use poq_lab::plot::{Curve, Frame, curves};
use poq_lab::statistics::Estimate;
use poq_lab::{Error, Result};
use poq_proto::v1::SessionParams;

use super::{FIGURES, links};
use crate::report::sessions::{Results, attacks_table, search_table};

/// Writes the document and its figure into `folder`.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(folder: &Path, results: &Results, effort: Effort) -> Result<()> {
    let points = &results.points;
    let figures = folder.join(FIGURES);
    std::fs::create_dir_all(&figures).map_err(Error::io(figures.display().to_string()))?;
    let defaults = default_sessions();
    let figure = figures.join("sessions-floor.svg");
    draw(&figure, points, &defaults)?;
    let text = [
        introduction(effort),
        attacks(&results.rows),
        floor(points, &defaults) + "\n" + &links(&[figure], FIGURES),
        samples(points, &defaults),
        windows(&defaults),
        cost::section(&results.costs, &defaults, effort),
        limits(),
    ];
    let path = folder.join("economics-of-sessions.md");
    std::fs::write(&path, text.join("\n")).map_err(Error::io(path.display().to_string()))
}

fn introduction(effort: Effort) -> String {
    format!(
        "# Economics of sessions: why their parameters are what they are\n\n\
         Written by `poq-lab --tasks {} --runs {} --seed {} sessions --write docs`, which gives the same text every \
         time. Each run has {} sessions of {ANSWERS} answers of one user and one node, and twelve evaluators. The \
         production state machine opened, settled, drew, scored and paid them, from signed transactions. Money \
         is in base units per ordered answer, with a 95 % confidence interval over runs; a usual answer costs \
         47,000 at full quality, and its node 15,000 to make. Words and assumptions are those of \
         [Economics](economics.md).\n",
        effort.tasks,
        effort.runs,
        effort.seed,
        of_run(effort)
    )
}

fn attacks(rows: &[Row]) -> String {
    format!(
        "## Attacks\n\n\
         *Honest profit* is that of the studied participants without the attack, *advantage* what they gain by it. \
         The twin of accomplices does nothing and earns nothing. The intervals of rings are wide because few \
         lies are audited and each costs much.\n\n{}",
        attacks_table(rows)
    )
}

fn floor(points: &[Point], defaults: &SessionParams) -> String {
    let of = |point: &&Point| {
        (point.sample_value, point.min_samples) == (defaults.sample_value, defaults.min_samples)
    };
    format!(
        "## The floor φ\n\n\
         Every answer earns φ of its node's share, whatever its score. Two bounds pull at φ. Junk has to lose by \
         pay alone, whatever the node's model is worth: the *standard* model's answers have a mean quality of 0.71, \
         the *poor* one's earn about half of their price, as right answers of small models do in local networks. And \
         a node should not work for nothing for users whose prompts the judge scores low. With the default, {:.2}, junk in all \
         of a poor node's answers and in half of them loses significantly, here and with 16 samples (next table); with 0.15 \
         no longer with 16, and with 0.20 it is open. A higher floor spares nodes little, because it would pay for \
         their work only at 0.43.\n\n{}",
        f64::from(defaults.floor_share) / 1e6,
        search_table(points.iter().filter(of))
    )
}

fn samples(points: &[Point], defaults: &SessionParams) -> String {
    let of = |point: &&Point| point.floor_share == defaults.floor_share;
    format!(
        "## `sample_value` and `min_samples`\n\n\
         One leaf is scored for each `sample_value` of a session, at least `min_samples`. A larger `sample_value` \
         makes sessions cheaper, and each scored answer decides about more money: `max_order_price` falls, since \
         what one answer decides about has to be secured by the stakes, against lies by audits and against silence \
         by the slash for it. With the least stakes and the default floor nothing is left of it at 1,500,000. The \
         default {} leaves {} for an order. Fewer least samples cost less, but \
         the pay of short sessions becomes a lottery; {} bound its standard deviation to about an eighth of the \
         price even for a poor model. An authority that demands higher stakes can raise both values; the \
         chain refuses parameters that the stakes do not secure.\n\n{}",
        defaults.sample_value,
        defaults.max_order_price,
        defaults.min_samples,
        search_table(points.iter().filter(of))
    )
}

fn windows(defaults: &SessionParams) -> String {
    format!(
        "## Windows\n\n\
         Windows move no money in these runs, where everybody is in time. They are as short as the slowest honest \
         party allows, because a user's escrow stays locked for all of them:\n\n\
         - `settle_window` ({} blocks): a node that crashed when its session closed has that long to restart and to \
         settle. A node that misses it is not paid, but loses no stake.\n\
         - `leaf_window` ({} blocks): twice the window of an answer. The texts are on the node's disk, so this is time \
         for a restart, and for more proposers than can all be censors. A leaf that is missed costs stake.\n\
         - `max_session_blocks` ({}): bounds the money that is locked, the texts that a node keeps, and how long one \
         draw of a node holds.\n\n\
         Together with the windows of the scored tasks they have to be shorter than `unbonding_window`, so that \
         nobody leaves with the stake that a session relies on; the chain checks that.\n",
        defaults.settle_window, defaults.leaf_window, defaults.max_session_blocks
    )
}

fn limits() -> String {
    "## What this does not show\n\n\
     Orders, answers and acknowledgements are exchanged in no time. Users who choose prompts that score low gain, \
     as the table says; a node that watches its scores stops after eight answers, and with ever new accounts a user \
     gets eight answers each time. `poq-inference-node` watches if it has the evaluator models (`stream.evaluator_models`). A node that never \
     settles and reveals that do not match are in the application's \
     tests (`app/tests/sessions/`). The limits of [Economics](economics.md#what-this-does-not-show) hold here too.\n"
        .into()
}

/// What junk gains, and what a user whose prompts score low leaves its node, by φ.
fn draw(path: &Path, points: &[Point], defaults: &SessionParams) -> Result<()> {
    let curve = |name: &str, model: &str, figure: fn(&Point) -> &Estimate| -> Curve {
        let of = points.iter().filter(|point| {
            let usual = (point.sample_value, point.min_samples)
                == (defaults.sample_value, defaults.min_samples);
            usual && point.model == model
        });
        let spot = |point: &Point| {
            let figure = figure(point);
            let floor = f64::from(point.floor_share) / 1e6;
            (floor, figure.mean, figure.margin)
        };
        (name.to_owned(), of.map(spot).collect())
    };
    let frame = Frame {
        title: "Gains by the floor",
        x: "φ",
        y: "base units per answer",
    };
    let drawn = [
        curve("junk for a standard model's answers", "standard", |point| {
            &point.junk
        }),
        curve("junk for a poor model's answers", "poor", |point| {
            &point.junk
        }),
        curve("the same in half of them", "poor", |point| &point.hidden),
        curve("honest node, prompts that score low", "poor", |point| {
            &point.low
        }),
    ];
    curves(path, &frame, &drawn)
}
