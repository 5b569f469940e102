//! Results as tables, as JSON and as pictures.

mod published;
pub(crate) mod sessions;
mod texts;

use std::path::{Path, PathBuf};

use poq_lab::experiments::parameters::{Candidate, Finding, Search};
use poq_lab::experiments::published::{aggregation, costs, earnings};
use poq_lab::experiments::sweep::{Grid, Point};
use poq_lab::experiments::texts::Findings;
use poq_lab::experiments::zoo::{Promise, Row};
use poq_lab::plot::{Bar, Curve, Frame, bars, curves};
use poq_lab::statistics::Estimate;
use poq_lab::{Error, Result};
use serde::Serialize;

use crate::options::{Options, Output};
use published::{aggregation_table, costs_table, earnings_table};

/// Base units around which the scale of profits turns from linear to logarithmic.
pub(crate) const PROFIT_UNIT: f64 = 100.0;

/// The output of results.
pub(crate) struct Report<'a> {
    output: Output,
    figures: Option<&'a Path>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(options: &'a Options) -> Self {
        Self {
            output: options.output,
            figures: options.figures.as_deref(),
        }
    }

    pub(crate) fn zoo(&self, rows: &[Row]) -> Result<()> {
        self.print(&rows, || [zoo_table(rows), users_table(rows)].join("\n"))?;
        self.draw(|folder| zoo_figures(folder, rows).map(drop))
    }

    pub(crate) fn sweep(&self, grid: &Grid, points: &[Point]) -> Result<()> {
        self.print(&points, || sweep_table(points))?;
        self.draw(|folder| sweep_figures(folder, grid, points).map(drop))
    }

    pub(crate) fn earnings(&self, groups: &[earnings::Group]) -> Result<()> {
        self.print(&groups, || earnings_table(groups))?;
        self.draw(|folder| {
            for audits in [false, true] {
                let of = groups.iter().filter(|group| group.audits == audits);
                let rows: Vec<Bar> = of.map(|group| bar(group.name, &group.profit)).collect();
                let title = format!("Profit of one participant, audits {}", on(audits));
                let frame = Frame {
                    title: &title,
                    x: "base units per task asked",
                    y: "",
                };
                let path = folder.join(format!("earnings-audits-{}.svg", on(audits)));
                bars(&path, &frame, PROFIT_UNIT, &rows)?;
            }
            Ok(())
        })
    }

    pub(crate) fn aggregation(&self, rows: &[aggregation::Row]) -> Result<()> {
        self.print(&rows, || aggregation_table(rows))?;
        self.draw(|folder| {
            let label = |row: &aggregation::Row| {
                format!(
                    "{}, {} %, K {}, {}",
                    row.attack, row.share, row.committee, row.rule
                )
            };
            let rows: Vec<Bar> = rows
                .iter()
                .map(|row| bar(&label(row), &row.error))
                .collect();
            let frame = Frame {
                title: "Mean distance of the consensus from the truth",
                x: "quality",
                y: "",
            };
            bars(&folder.join("aggregation.svg"), &frame, 1.0, &rows)
        })
    }

    pub(crate) fn costs(&self, comparison: &costs::Comparison) -> Result<()> {
        self.print(comparison, || costs_table(comparison))?;
        self.draw(|folder| {
            let rows: Vec<Bar> = comparison
                .rows
                .iter()
                .map(|row| bar(row.name, &row.profit))
                .collect();
            let frame = Frame {
                title: "Profit of a model class on the chain",
                x: "base units per answer",
                y: "",
            };
            bars(&folder.join("costs.svg"), &frame, PROFIT_UNIT, &rows)
        })
    }

    pub(crate) fn texts(&self, findings: &Findings) -> Result<()> {
        self.print(findings, || texts::tables(findings))
    }

    pub(crate) fn sessions(&self, results: &sessions::Results) -> Result<()> {
        self.print(results, || {
            [
                sessions::attacks_table(&results.rows),
                sessions::search_table(results.points.iter()),
                sessions::costs_table(&results.costs),
            ]
            .join("\n")
        })
    }

    pub(crate) fn parameters(&self, search: &Search) -> Result<()> {
        self.print(search, || parameters_table(search))
    }

    /// Prints in the chosen format, JSON or a table.
    pub(crate) fn print(
        &self,
        result: &impl Serialize,
        table: impl FnOnce() -> String,
    ) -> Result<()> {
        match self.output {
            Output::Text => print!("{}", table()),
            Output::Json => println!("{}", serde_json::to_string_pretty(result)?),
        }
        Ok(())
    }

    fn draw(&self, draw: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let Some(folder) = self.figures else {
            return Ok(());
        };
        std::fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
        draw(folder)
    }
}

/// The zoo as a Markdown table.
pub(crate) fn zoo_table(rows: &[Row]) -> String {
    let mut text = head(&[
        "strategy",
        "audits",
        "price",
        "honest profit",
        "advantage of lying",
        "verdict",
        "moved by > 0.05",
        "after audits",
        "paid for a lie",
        "audited",
        "promise",
    ]);
    for row in rows {
        let result = &row.result;
        text += &line(&[
            row.name.clone(),
            on(row.audits).into(),
            row.price.to_string(),
            money(&result.honest),
            money(&result.advantage),
            result.verdict().into(),
            percent(&result.moved),
            percent(&result.moved_at_payout),
            format!("{:.0}", result.payout_for_lies.mean),
            percent(&result.audited),
            promise(row),
        ]);
    }
    text
}

/// The costs of users' strategies and who bears them, as a Markdown table.
pub(crate) fn users_table(rows: &[Row]) -> String {
    let mut text = head(&[
        "strategy",
        "audits",
        "price",
        "advantage",
        "verdict",
        "the user paid",
        "other inference nodes",
        "taken back",
        "promise",
    ]);
    for row in rows.iter().filter(|row| row.by_users) {
        let result = &row.result;
        text += &line(&[
            row.name.clone(),
            on(row.audits).into(),
            row.price.to_string(),
            money(&result.advantage),
            result.verdict().into(),
            money(&result.spent),
            money(&result.competitors),
            format!("{:.2}", result.taken_back.mean),
            promise(row),
        ]);
    }
    text
}

fn promise(row: &Row) -> String {
    match row.promise {
        Promise::None(reason) => format!("none: {reason}"),
        promise if !promise.covers(row.audits) => "none without audits".into(),
        promise => {
            let what = match promise {
                Promise::GainsNothing => "gains nothing",
                _ => "loses",
            };
            let is = if row.keeps_promise() {
                "kept"
            } else {
                "BROKEN"
            };
            format!("{what}: {is}")
        }
    }
}

/// A picture of the zoo for each setting; returns their files.
pub(crate) fn zoo_figures(folder: &Path, rows: &[Row]) -> Result<Vec<PathBuf>> {
    let mut settings: Vec<(bool, u64)> = rows.iter().map(|row| (row.audits, row.price)).collect();
    settings.dedup();
    let mut paths = Vec::new();
    for (audits, price) in settings {
        let of = rows
            .iter()
            .filter(|row| (row.audits, row.price) == (audits, price));
        let rows: Vec<Bar> = of
            .map(|row| bar(&row.name, &row.result.advantage))
            .collect();
        let title = format!("Lying minus honesty, audits {}, price {price}", on(audits));
        let frame = Frame {
            title: &title,
            x: "base units per task asked",
            y: "",
        };
        let path = folder.join(format!("zoo-audits-{}-price-{price}.svg", on(audits)));
        bars(&path, &frame, PROFIT_UNIT, &rows)?;
        paths.push(path);
    }
    Ok(paths)
}

/// A sweep as a Markdown table.
pub(crate) fn sweep_table(points: &[Point]) -> String {
    let mut text = head(&[
        "attack",
        "liars",
        "aggregation",
        "K",
        "audits",
        "honest profit",
        "advantage of lying",
        "verdict",
        "moved by > 0.05",
        "after audits",
        "paid for a lie",
        "refunded",
    ]);
    for point in points {
        let result = &point.result;
        text += &line(&[
            point.attack.name().into(),
            format!("{} %", point.share),
            point.rule.name().into(),
            point.committee.to_string(),
            on(point.audits).into(),
            money(&result.honest),
            money(&result.advantage),
            result.verdict().into(),
            percent(&result.moved),
            percent(&result.moved_at_payout),
            format!("{:.0}", result.payout_for_lies.mean),
            percent(&result.refunded),
        ]);
    }
    text
}

/// Two pictures for each rule, committee and audits, by percentage: how often the quality is moved,
/// and the gain of lying. Returns their files.
pub(crate) fn sweep_figures(folder: &Path, grid: &Grid, points: &[Point]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for &rule in &grid.rules {
        for &committee in &grid.committees {
            for &audits in &grid.audits {
                let same = |point: &&Point| {
                    (point.rule, point.committee, point.audits) == (rule, committee, audits)
                };
                let curve = |figure: fn(&Point) -> &Estimate| -> Vec<Curve> {
                    grid.attacks
                        .iter()
                        .map(|attack| {
                            let of = points
                                .iter()
                                .filter(same)
                                .filter(|point| point.attack == *attack);
                            let spot = |point: &Point| {
                                let figure = figure(point);
                                (f64::from(point.share), figure.mean, figure.margin)
                            };
                            (attack.name().to_owned(), of.map(spot).collect())
                        })
                        .collect()
                };
                let case = format!("{}, K {committee}, audits {}", rule.name(), on(audits));
                let file = case.replace(", ", "-").replace(' ', "-");
                let moved = format!("Tasks moved by more than 0.05: {case}");
                let frame = Frame {
                    title: &moved,
                    x: "liars among the evaluators, %",
                    y: "part of the tasks",
                };
                let path = folder.join(format!("sweep-moved-{file}.svg"));
                curves(&path, &frame, &curve(|point| &point.result.moved_at_payout))?;
                paths.push(path);
                let gain = format!("Lying minus honesty: {case}");
                let frame = Frame {
                    title: &gain,
                    x: "liars among the evaluators, %",
                    y: "base units per task",
                };
                let path = folder.join(format!("sweep-advantage-{file}.svg"));
                curves(&path, &frame, &curve(|point| &point.result.advantage))?;
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

fn parameters_table(search: &Search) -> String {
    let mut text = format!(
        "{} sets, {} meet all demands in closed form. Tried on the state machine, cheapest first:\n\n",
        search.candidates, search.admissible
    );
    text += &candidates_table(search.trials.iter().map(|trial| {
        let broken: Vec<String> = trial
            .rows
            .iter()
            .filter(|row| !row.keeps_promise())
            .map(|row| format!("{} at {}", row.name, row.price))
            .collect();
        let broken = if trial.honest {
            "honesty is the best reply".into()
        } else {
            broken.join("; ")
        };
        (trial.candidate, &trial.finding, broken)
    }));
    text
}

/// Parameter sets with their costs and a remark each.
pub(crate) fn candidates_table<'a>(
    rows: impl Iterator<Item = (Candidate, &'a Finding, String)>,
) -> String {
    let mut text = head(&[
        "K",
        "slash_audit",
        "audit_margin",
        "min_audit_rate",
        "score_tolerance",
        "slash_no_reveal",
        "cost per task",
        "scores",
        "audits",
        "accidents",
        "",
    ]);
    for (set, finding, remark) in rows {
        text += &line(&[
            set.committee_size.to_string(),
            set.slash_audit.to_string(),
            set.audit_margin.to_string(),
            set.min_audit_rate.to_string(),
            set.score_tolerance.to_string(),
            set.slash_no_reveal.to_string(),
            format!("{:.0}", finding.cost),
            format!("{:.0}", finding.scores),
            format!("{:.0}", finding.audits),
            format!("{:.0}", finding.accidents),
            remark,
        ]);
    }
    text
}

/// The head of a Markdown table.
pub(crate) fn head(columns: &[&str]) -> String {
    format!(
        "| {} |\n|{}\n",
        columns.join(" | "),
        " --- |".repeat(columns.len())
    )
}

/// A line of a Markdown table.
pub(crate) fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Base units with their confidence interval.
pub(crate) fn money(estimate: &Estimate) -> String {
    format!("{:.0} ± {:.0}", estimate.mean, estimate.margin)
}

fn percent(estimate: &Estimate) -> String {
    format!("{:.1} %", 100.0 * estimate.mean)
}

fn bar(name: &str, estimate: &Estimate) -> Bar {
    (name.to_owned(), estimate.mean, estimate.margin)
}

fn on(audits: bool) -> &'static str {
    if audits { "on" } else { "off" }
}
