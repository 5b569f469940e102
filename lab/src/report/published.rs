//! Repeated published results, as tables.

use poq_lab::experiments::published::{aggregation, costs, earnings};

use super::{head, line, money, on, percent};

/// Earnings of participants.
pub(super) fn earnings_table(groups: &[earnings::Group]) -> String {
    let mut text = head(&[
        "participant",
        "audits",
        "profit per task",
        "minus an honest one's",
    ]);
    for group in groups {
        text += &line(&[
            group.name.into(),
            on(group.audits).into(),
            money(&group.profit),
            money(&group.advantage),
        ]);
    }
    text
}

/// Distance of the consensus from the truth.
pub(super) fn aggregation_table(rows: &[aggregation::Row]) -> String {
    let mut text = head(&[
        "attack",
        "liars",
        "K",
        "rule",
        "mean error",
        "correlation",
        "liars at the highest trust",
    ]);
    for row in rows {
        text += &line(&[
            row.attack.into(),
            format!("{} %", row.share),
            row.committee.to_string(),
            row.rule.into(),
            format!("{:.3} ± {:.3}", row.error.mean, row.error.margin),
            format!(
                "{:.3} ± {:.3}",
                row.correlation.mean, row.correlation.margin
            ),
            row.saturated.as_ref().map_or_else(String::new, percent),
        ]);
    }
    text
}

/// Results of model classes.
pub(super) fn costs_table(comparison: &costs::Comparison) -> String {
    let mut columns = vec!["class".to_owned(), "quality".into(), "cost".into()];
    columns.extend(costs::BETAS.map(|beta| format!("R, β = {beta}")));
    columns.push("profit on the chain".into());
    let mut text = head(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    for row in &comparison.rows {
        let mut cells = vec![
            row.name.to_owned(),
            format!("{:.3}", row.quality.mean),
            row.cost.to_string(),
        ];
        cells.extend(
            row.rewards
                .iter()
                .map(|reward| format!("{:.3} ± {:.3}", reward.mean, reward.margin)),
        );
        cells.push(money(&row.profit));
        text += &line(&cells);
    }
    let agreement: Vec<String> = comparison
        .agreement
        .iter()
        .map(|rank| format!("{rank:.2}"))
        .collect();
    text + &format!(
        "\nRank correlation of R with the chain's profit: {}\n",
        agreement.join(", ")
    )
}
