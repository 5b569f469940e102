use std::collections::BTreeMap;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::model::{Located, of_catalog};
use crate::cli::Margins;
use crate::generator::weights::WeightType;
use crate::margins::{self, Question, Summary};

/// Asks questions with known answers for every type of weights.
pub(super) async fn margins(options: Margins) -> anyhow::Result<()> {
    let mut questions = margins::questions()?;
    questions.truncate(options.questions.unwrap_or(usize::MAX));
    let bar = bar(questions.len() * options.weights.len());
    let mut summaries = Vec::new();
    for weights in &options.weights {
        bar.set_message(weights.name());
        summaries.push((*weights, ask(&options, *weights, &questions, &bar).await?));
    }
    bar.finish_and_clear();
    let by_name: BTreeMap<_, _> = summaries
        .iter()
        .map(|(weights, summary)| (weights.name(), summary))
        .collect();
    let value = json!({ "model": options.id, "questions": questions.len(), "weights": by_name });
    let text = text(questions.len(), &summaries);
    options.output.output.print_figures(&value, text)?;
    Ok(())
}

async fn ask(
    options: &Margins,
    weights: WeightType,
    questions: &[Question],
    bar: &ProgressBar,
) -> anyhow::Result<Summary> {
    let mut model = of_catalog(&options.id)?;
    model.weights = weights;
    model.threads = options.threads;
    if let Some(file) = &options.model_file {
        model.file.clone_from(file);
    }
    let located = Located::find(&model).await?;
    let digest = located.digest().await?;
    let generator = located.load(&model, digest).await?;
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        let answer = margins::ask(&generator, question)
            .await
            .with_context(|| format!("no answer to `{}`", question.prompt))?;
        answers.push(answer);
        bar.inc(1);
    }
    Ok(Summary::new(answers))
}

fn bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:10} {bar:40} {pos}/{len} answers");
    ProgressBar::new(length as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn text(questions: usize, summaries: &[(WeightType, Summary)]) -> String {
    let head = format!(
        "{:10} {:>9} {:>15} {:>13}",
        "WEIGHTS", "RIGHT", "SMALLEST MARGIN", "MEDIAN"
    );
    let line = |(weights, summary): &(WeightType, Summary)| {
        format!(
            "{:10} {:>9} {:>15.4} {:>13.4}",
            weights.name(),
            format!("{}/{questions}", summary.right),
            summary.smallest,
            summary.median
        )
    };
    let wrong = |(weights, summary): &(WeightType, Summary)| {
        let wrong = summary.answers.iter().filter(|answer| !answer.is_right);
        let line = |answer: &margins::Answered| {
            format!("{}: {} {:?}", weights.name(), answer.prompt, answer.text())
        };
        wrong.map(line).collect::<Vec<_>>()
    };
    let lines = summaries.iter().map(line);
    let lines = std::iter::once(head).chain(lines);
    let lines = lines.chain([String::new()]);
    lines
        .chain(summaries.iter().flat_map(wrong))
        .collect::<Vec<_>>()
        .join("\n")
}
