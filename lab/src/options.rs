//! The command line.

pub(crate) mod scores;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use poq_lab::episode::Setting;
use poq_lab::experiments::sweep::{Attack, Grid, Rule};
use poq_lab::experiments::texts::{Kind, Plan};
use poq_lab::experiments::{Effort, sessions};
use poq_lab::texts::{Judge, draw, read, sample};
use poq_lab::{Error, Result};
use poq_proto::v1::Params;

use scores::Scores;

/// Attacks the chain's production state machine, in this process, through signed transactions, and
/// measures the gains. Equal options give equal results.
#[derive(Parser)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub command: Command,
    /// Tasks per run
    #[arg(long, global = true, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tasks: u32,
    /// Runs of each case, each with its own seed
    #[arg(long, global = true, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Seed of the first run, or of resampling
    #[arg(long, global = true, default_value_t = 1)]
    pub seed: u64,
    /// Output format
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
    /// Draw the results into this folder as SVG
    #[arg(long, global = true)]
    pub figures: Option<PathBuf>,
}

/// An output format.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables
    Text,
    /// One JSON document
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every strategy against its honest twin; fails if a strategy that the protocol bounds does
    /// not lose
    Zoo(ZooOptions),
    /// Strategies by their percentage of all evaluators, over aggregations and committee sizes
    Sweep(SweepOptions),
    /// Repeat published results on Proof of Quality
    Published {
        #[command(subcommand)]
        claim: Published,
    },
    /// Attacks on sessions, and a search over the parameters that decide what they gain; fails if an
    /// attack that the protocol bounds does not lose
    Sessions(SessionsOptions),
    /// Texts that are meant to please real judges: their scores and their payouts
    Texts(TextsOptions),
    /// Measure what the scores of evaluator models are worth, without chain, tasks or runs
    Scores {
        #[command(subcommand)]
        measure: Scores,
    },
    /// Search for the cheapest genesis parameters under which honesty is the best reply
    Parameters {
        /// Most sets to try on the state machine
        #[arg(long, default_value_t = 3)]
        finalists: usize,
        /// Write economics.md and its figures into this folder instead of printing
        #[arg(long)]
        write: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct ZooOptions {
    /// Committee size
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=30))]
    pub committee: u32,
    /// With audits, without, or both
    #[arg(long, value_enum, default_value = "both")]
    audits: Audits,
    /// Also run tasks at half of the highest price that the stakes secure
    #[arg(long)]
    dear: bool,
    /// Only strategies whose names contain this
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub only: String,
}

#[derive(Args)]
pub(crate) struct SweepOptions {
    /// Strategies of the liars
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "constant,prior-mean,random,copy-last,boost,sabotage,praise"
    )]
    attacks: Vec<Attack>,
    /// Percentages of the evaluators that lie
    #[arg(long, value_delimiter = ',', default_value = "10,20,30,40,50,60,80,100", value_parser = clap::value_parser!(u32).range(0..=100))]
    shares: Vec<u32>,
    /// How reveals become a quality
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "weighted-median"
    )]
    rules: Vec<Rule>,
    /// Committee sizes
    #[arg(long, value_delimiter = ',', default_value = "5", value_parser = clap::value_parser!(u32).range(1..=30))]
    committees: Vec<u32>,
    /// With audits, without, or both
    #[arg(long, value_enum, default_value = "both")]
    audits: Audits,
    /// Number of evaluators
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=200))]
    evaluators: u32,
}

#[derive(Args)]
pub(crate) struct SessionsOptions {
    /// Only attacks whose names contain this
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub only: String,
    /// Parts of its share that every answer earns, ppm
    #[arg(long, value_delimiter = ',', default_values_t = sessions::Grid::default().floors, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    floors: Vec<u32>,
    /// Values for which one leaf is scored, base units
    #[arg(long, value_delimiter = ',', default_values_t = sessions::Grid::default().sample_values)]
    sample_values: Vec<u64>,
    /// Least scored leaves of a session
    #[arg(long, value_delimiter = ',', default_values_t = sessions::Grid::default().min_samples, value_parser = clap::value_parser!(u32).range(1..=64))]
    min_samples: Vec<u32>,
    /// Write economics-of-sessions.md and its figure into this folder instead of printing
    #[arg(long)]
    pub write: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct TextsOptions {
    /// A judge, repeatable: the id of a model that `make setup` fetches, a registry entry (.json)
    /// whose files are in the cache, or a folder with entry.json, model.onnx and tokenizer.json
    #[arg(
        long = "model",
        value_name = "ID|FOLDER",
        default_values_t = ["judge-minilm-nc-2", "judge-bge-nc-2"].map(String::from)
    )]
    models: Vec<String>,
    /// Prompts with labelled answers, one JSON object per line, in one of the forms of lab/sample;
    /// by default the project's own sample
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Most prompts to draw
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    prompts: u32,
    /// Queries of the adaptive attack per prompt and judge
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queries: u32,
    /// Quality (ppm) up to which an answer earns nothing; by default that of SmolLM2 in local
    /// networks
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(..1_000_000))]
    pub floor: u32,
    /// Quality (ppm) from which an answer earns everything; by default that of SmolLM2 in local
    /// networks
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub target: u32,
    /// Kinds of attacks
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "static,adaptive"
    )]
    attacks: Vec<Kind>,
}

#[derive(Subcommand)]
pub(crate) enum Published {
    /// arXiv 2405.17934: lazy and dishonest participants earn less
    Earnings,
    /// arXiv 2601.21189: attacks, aggregations, committee sizes, trust weights
    Aggregation {
        /// Percentages of the evaluators that attack
        #[arg(long, value_delimiter = ',', default_value = "20,40", value_parser = clap::value_parser!(u32).range(0..=100))]
        shares: Vec<u32>,
        /// Committee sizes
        #[arg(long, value_delimiter = ',', default_value = "3,5,9", value_parser = clap::value_parser!(u32).range(1..=30))]
        committees: Vec<u32>,
    },
    /// arXiv 2512.16317: R = α · quality − β · cost over five model classes
    Costs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Audits {
    On,
    Off,
    Both,
}

impl Audits {
    fn values(self) -> Vec<bool> {
        match self {
            Self::On => vec![true],
            Self::Off => vec![false],
            Self::Both => vec![false, true],
        }
    }
}

impl Options {
    /// The chain's defaults.
    pub(crate) fn setting(&self) -> Setting {
        Setting::new(self.tasks)
    }

    pub(crate) fn effort(&self) -> Effort {
        Effort {
            tasks: self.tasks,
            runs: self.runs,
            seed: self.seed,
        }
    }
}

impl ZooOptions {
    /// `base` with and without audits, at its price and at a dear one.
    pub(crate) fn settings(&self, base: &Setting) -> Vec<Setting> {
        let params = Params {
            committee_size: self.committee,
            ..base.params.clone()
        };
        let usual = Setting {
            params,
            ..base.clone()
        };
        let dear = self.dear.then(|| usual.dear());
        let mut settings = Vec::new();
        for setting in [usual].into_iter().chain(dear) {
            for audits in self.audits.values() {
                settings.push(Setting {
                    audits,
                    ..setting.clone()
                });
            }
        }
        settings
    }
}

impl SweepOptions {
    /// # Errors
    /// [`Error::Option`] if a committee is larger than two thirds of the evaluators.
    pub(crate) fn grid(&self) -> Result<Grid> {
        let largest = self.committees.iter().max().copied().unwrap_or(0);
        if largest * 3 > self.evaluators * 2 + 2 {
            return Err(Error::Option(format!(
                "committees of {largest} need at least {} evaluators; raise --evaluators",
                (largest * 3).div_ceil(2)
            )));
        }
        Ok(Grid {
            attacks: self.attacks.clone(),
            shares: self.shares.clone(),
            rules: self.rules.clone(),
            committees: self.committees.clone(),
            audits: self.audits.values(),
            evaluators: self.evaluators as usize,
        })
    }
}

impl SessionsOptions {
    pub(crate) fn grid(&self) -> sessions::Grid {
        sessions::Grid {
            floors: self.floors.clone(),
            sample_values: self.sample_values.clone(),
            min_samples: self.min_samples.clone(),
        }
    }
}

impl TextsOptions {
    /// Opens the judges and draws the questions.
    ///
    /// # Errors
    /// If a file is missing or not valid.
    pub(crate) fn plan(&self, seed: u64) -> Result<Plan> {
        let open = |model: &String| Judge::open(model).map(Arc::new);
        let questions = match &self.data {
            Some(path) => read(path)?,
            None => sample()?,
        };
        Ok(Plan {
            judges: self.models.iter().map(open).collect::<Result<_>>()?,
            questions: draw(questions, self.prompts as usize, seed),
            kinds: self.attacks.clone(),
            queries: self.queries,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn committees_that_the_evaluators_cannot_fill_are_refused() {
        let grid = |arguments: &[&str]| {
            let line = ["poq-lab", "sweep"].iter().chain(arguments);
            match Options::parse_from(line).command {
                Command::Sweep(options) => options.grid(),
                _ => unreachable!(),
            }
        };
        assert!(grid(&["--committees", "21", "--evaluators", "30"]).is_err());
        assert!(grid(&["--committees", "3,21", "--evaluators", "32"]).is_ok());
    }
}
