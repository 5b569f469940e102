//! Writes `economics.md`: the reasons for the chain's defaults, with every number from a run.

pub(crate) mod sessions;

use std::path::Path;

use poq_lab::casts::STAKE;
use poq_lab::episode::Setting;
use poq_lab::experiments::parameters::{Check, Demands, Search, Trial};
use poq_lab::experiments::sweep::{self, Attack, Grid, Rule};
use poq_lab::experiments::{Effort, zoo};
use poq_lab::world::{STANDARD, prior_mean};
use poq_lab::{Error, Result};

use crate::report::{
    candidates_table, head, line, money, sweep_figures, sweep_table, users_table, zoo_figures,
    zoo_table,
};

/// Folder of the figures, in the document's folder.
const FIGURES: &str = "economics";

/// Writes the document and its figures into `folder`.
///
/// # Errors
/// If a run fails, or a file cannot be written.
pub(crate) fn write(folder: &Path, search: &Search, base: &Setting, effort: Effort) -> Result<()> {
    let figures = folder.join(FIGURES);
    std::fs::create_dir_all(&figures).map_err(Error::io(figures.display().to_string()))?;
    let winner = search.winner().ok_or_else(|| {
        Error::Option("none of the finalists was honest; raise --finalists".into())
    })?;
    let base = Setting {
        params: winner.candidate.apply(&base.params),
        ..base.clone()
    };
    let text = [
        introduction(effort),
        world(&base),
        demands(&search.demands),
        result(search, winner),
        checks(&search.checks),
        promises(winner, &figures)?,
        failures(&base, effort, &figures)?,
        users(&base, effort)?,
        shares(&base, effort, &figures)?,
        limits(),
    ];
    let path = folder.join("economics.md");
    std::fs::write(&path, text.join("\n")).map_err(Error::io(path.display().to_string()))
}

fn introduction(effort: Effort) -> String {
    format!(
        "# Economics: why the parameters are what they are\n\n\
         Written by `poq-lab --tasks {} --runs {} --seed {} parameters --write docs`, which gives the \
         same text every time. Money is in base units; a profit is the change of balance and stake \
         less the cost of the work, per task that was asked, with a 95 % confidence interval over \
         runs (Student's t; a liar and its honest twin share the seeds). The production state \
         machine executed every task, from signed transactions; only the closed forms did not.\n",
        effort.tasks, effort.runs, effort.seed
    )
}

fn world(base: &Setting) -> String {
    let world = base.world;
    format!(
        "## The world\n\n\
         | assumption | value |\n| --- | --- |\n\
         | price of a usual task | {} |\n\
         | cost of one score for an evaluator | {} |\n\
         | cost of an answer for an inference node | {} |\n\
         | stake of every node, the least that is allowed | {STAKE} |\n\
         | answers | {} ± {} logits, calibrated by the table of ms-marco-MiniLM-L-12-v2; mean quality {:.2} |\n\
         | honest evaluators | the reference's score ± 10 micro-logits |\n\
         | an answer that deserves its full price, to who asked for it | twice that price |\n\
         | evaluators to draw from | 2 K + 2, of whom a ring has as many as its row says |\n\n\
         Prices are the template's for a prompt of 140 bytes and an answer of {}, from which length on an \
         answer counts in a reputation. Costs and worth are judgements: only their proportion to the price \
         matters.\n",
        world.price(),
        world.evaluation_cost,
        STANDARD.cost,
        STANDARD.mean,
        STANDARD.deviation,
        f64::from(prior_mean()) / 1e6,
        STANDARD.answer_bytes,
    )
}

fn demands(demands: &Demands) -> String {
    format!(
        "## Demands\n\n\
         Sets of parameters are weighed in closed form first (`lab/src/experiments/parameters/`):\n\n\
         1. The chain takes them (`validate`: withholding costs more than the worst score, …).\n\
         2. The dearest task that the limits of length allow, {}, is secured by the stakes.\n\
         3. A seat earns {} times what it costs.\n\
         4. Guessing the mean quality loses even without audits.\n\
         5. An audited lie loses {} times what a seat can gain by it, on average.\n\
         6. A ring that moves the median loses more than the price and the work that it saves.\n\
         7. A lone liar is caught within {} seats with {:.0} % probability.\n\
         8. If {:.0} % of the evaluators lie whatever it costs them, they decide at most {:.0} % of the tasks.\n\
         9. Evaluators of different models, {:.1} apart, still earn {:.0} % of their share.\n\
         10. Withholding a score costs {} times what any seat can earn.\n\
         11. A wrong score costs at most {:.0} % of the stake, as protocol section 10 has it.\n\n\
         The cost of a set is what a task costs everybody: the committee's scores, audits by {} \
         validators, and what honest evaluators lose by faulty hardware ({:e} of the seats) and \
         outages ({:e}). {:.0} % of the tasks have the usual price, {:.0} % ten times it, {:.0} % \
         seventy times it. The cheapest sets that meet all demands are then tried on the state \
         machine against the whole zoo, at the usual price and at half of the highest.\n",
        demands.dearest,
        demands.wage,
        demands.deterrence,
        demands.caught_within,
        100.0 * demands.caught,
        100.0 * demands.careless,
        100.0 * demands.decided_by_careless,
        f64::from(demands.plural_distance) / 1e6,
        100.0 * demands.plural_wage,
        demands.withholding,
        f64::from(demands.highest_slash) / 1e4,
        demands.validators,
        demands.faults,
        demands.outages,
        100.0 * demands.prices[0].1,
        100.0 * demands.prices[1].1,
        100.0 * demands.prices[2].1,
    )
}

fn result(search: &Search, winner: &Trial) -> String {
    let verdict = |trial: &Trial| match trial.honest {
        true => "honesty is the best reply".to_owned(),
        false => "a strategy of the zoo pays".to_owned(),
    };
    let tried = candidates_table(
        search
            .trials
            .iter()
            .map(|trial| (trial.candidate, &trial.finding, verdict(trial))),
    );
    let (defaults, finding) = &search.defaults;
    let state = match *defaults == winner.candidate {
        true => "They are the chain's defaults.".to_owned(),
        false => format!(
            "The chain's defaults when this was run differed:\n\n{}",
            candidates_table([(*defaults, finding, missed(&finding.misses))].into_iter())
        ),
    };
    let sizes = search.by_committee.iter();
    let sizes =
        candidates_table(sizes.map(|(set, finding)| (*set, finding, missed(&finding.misses))));
    let steps = search.neighbours.iter();
    let steps =
        candidates_table(steps.map(|(set, finding)| (*set, finding, missed(&finding.misses))));
    format!(
        "## Result\n\n\
         Of {} sets {} meet all demands. Tried on the state machine, cheapest first:\n\n{tried}\n{state}\n\n\
         The best set of each committee size, and what it still misses:\n\n{sizes}\n\
         Every set that differs from the result in one value is as dear, dearer, or misses a demand:\n\n{steps}",
        search.candidates, search.admissible
    )
}

fn missed(misses: &[String]) -> String {
    match misses.is_empty() {
        true => "meets all".into(),
        false => format!("misses: {}", misses.join("; ")),
    }
}

fn checks(checks: &[Check]) -> String {
    let mut text = "## Closed form against the state machine\n\n\
        A lone evaluator that always says the mean quality, without audits:\n\n"
        .to_owned();
    text += &head(&["K", "advantage in closed form", "on the state machine"]);
    for check in checks {
        text += &line(&[
            check.committee_size.to_string(),
            format!("{:.0}", check.predicted),
            money(&check.measured.advantage),
        ]);
    }
    text
}

fn promises(winner: &Trial, figures: &Path) -> Result<String> {
    let pictures = links(&zoo_figures(figures, &winner.rows)?, FIGURES);
    Ok(format!(
        "## Strategies within the bounds\n\n\
         `loses` and `GAINS` are significant, `open` is not: at the usual price an audit is a rare \
         event, and a run without one costs a liar nothing but accuracy. A jailed node stays in jail for the \
         rest of its run.\n\n{}\n{pictures}",
        zoo_table(&winner.rows)
    ))
}

/// The strategies beyond the protocol's promises: with audits those that no audit sees, without
/// audits those that audits prevent.
fn failures(base: &Setting, effort: Effort, figures: &Path) -> Result<String> {
    let entries = zoo::entries(base.params.committee_size as usize);
    let mut rows = Vec::new();
    for audits in [true, false] {
        let setting = Setting {
            audits,
            ..base.clone()
        };
        let beyond: Vec<zoo::Entry> = entries
            .iter()
            .filter(|entry| !entry.promise.covers(audits) && !entry.is_by_users())
            .cloned()
            .collect();
        rows.extend(zoo::compare(&[setting], &beyond, effort)?);
    }
    let folder = figures.join("beyond");
    std::fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
    let pictures = links(&zoo_figures(&folder, &rows)?, &format!("{FIGURES}/beyond"));
    Ok(format!(
        "## Strategies beyond the bounds\n\n\
         What the protocol does not promise, and what happens then. Without audits a committee whose \
         evaluators all conspire is believed.\n\n{}\n{pictures}",
        zoo_table(&rows)
    ))
}

/// What users gain by their terms and by cancelling questions, and who pays for it.
fn users(base: &Setting, effort: Effort) -> Result<String> {
    let mut entries = zoo::entries(base.params.committee_size as usize);
    entries.retain(zoo::Entry::is_by_users);
    let rows = zoo::compare(&[base.clone(), base.dear()], &entries, effort)?;
    Ok(format!(
        "## Users who have strategies\n\n\
         A second user beside the ordinary one, alone or with one of the inference nodes. An advantage is \
         over the twin that asks as much without a strategy, or nothing if nobody wants the answers; it counts \
         what the user pays and gets back, what answers are worth to it, and what its node earns. *The user \
         paid*, and what *other inference nodes* earned more than in the honest runs, are in the same unit; \
         *taken back* is how often a question was, for each of the ordinary user. Hopeless questions are \
         as many as 30 % of the ordinary ones: nobody answers them well, and their answers are short and \
         count in reputations. Gas is free; whoever takes back is in time and asks again; a node works in \
         vain until then.\n\n{}",
        users_table(&rows)
    ))
}

fn shares(base: &Setting, effort: Effort, figures: &Path) -> Result<String> {
    let grid = Grid {
        attacks: vec![Attack::PriorMean, Attack::Boost, Attack::Praise],
        shares: vec![20, 40, 60, 80, 100],
        rules: vec![Rule::WeightedMedian],
        committees: vec![base.params.committee_size],
        audits: vec![false, true],
        evaluators: 30,
    };
    let points = sweep::run(&grid, base, effort)?;
    let pictures = links(&sweep_figures(figures, &grid, &points)?, FIGURES);
    Ok(format!(
        "## Liars as a share of all evaluators\n\n\
         30 evaluators whose stakes are one, two and four times the least. More points, aggregations and \
         committee sizes: `poq-lab sweep --help`.\n\n{}\n{pictures}",
        sweep_table(&points)
    ))
}

fn links(paths: &[std::path::PathBuf], folder: &str) -> String {
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
    names
        .map(|name| format!("![{}]({folder}/{name})\n", name.trim_end_matches(".svg")))
        .collect()
}

fn limits() -> String {
    "## What this does not show\n\n\
     Costs, prices and the demands' numbers are judgements, and the set is the cheapest of a grid, \
     not of all sets. Liars do not come back from jail, do not challenge, and do not learn. \
     Committees are uniform. Validators are honest, and the beacon is random. What a profit is \
     worth to somebody who can gain outside of the chain is not in it: whoever pays more for a wrong \
     quality than the stakes at risk can buy one. Qualities are drawn, by the table of a ranker that \
     networks no longer use; [Paying for texts](paying-for-texts.md) has what the judges of local \
     networks say of real texts, and what changes: their qualities of answers lie closer together, \
     so that without audits a guess earns about as much as a score (demand 4). [Economics of \
     sessions](economics-of-sessions.md) has the parameters of sessions.\n"
        .into()
}
