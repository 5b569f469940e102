use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use poq_worker::program::{Output, OutputArg, table};
use rusqlite::Connection;
use serde::Serialize;

use super::{settings, store};
use crate::store::Store;
use crate::store::groups::{self, Group};

/// Longest name of a group: it stands in memos.
const LONGEST: usize = 64;

/// Commands of `groups`.
#[derive(Debug, Subcommand)]
pub(super) enum Groups {
    /// Create a group of keys with prepaid credit.
    Create(Create),
    /// List all groups with their credit.
    List(OutputArg),
    /// Add to a group's credit.
    TopUp(TopUp),
}

/// Options of `groups create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// Name of the group: letters, digits, `.`, `_` and `-`.
    name: String,
    /// Base units that it begins with.
    #[arg(long, default_value_t = 0)]
    credit: u64,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

/// Options of `groups top-up`.
#[derive(Debug, Args)]
pub(super) struct TopUp {
    /// Name of the group.
    name: String,
    /// Base units.
    amount: u64,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

impl Groups {
    /// How results and failures are printed.
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Create(options) => options.output.output,
            Self::List(options) => options.output,
            Self::TopUp(options) => options.output.output,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Failures with their remedies, for the user.
    pub(super) async fn run(self, home: &Path) -> Result<()> {
        let output = self.output();
        let store = store(&settings(home)?.0)?;
        match self {
            Self::Create(options) => {
                let group = create(&store, options.name, options.credit).await?;
                Shown::read(&store, group)?.print(output)
            }
            Self::TopUp(options) => {
                let group = find(&store, &options.name)?;
                let (id, amount) = (group.id, options.amount);
                ensure!(amount > 0, "the amount must be at least 1");
                ensure!(is_possible(amount), "there is not so much money");
                store
                    .write(move |db| groups::top_up(db, id, amount))
                    .await?;
                Shown::read(&store, id)?.print(output)
            }
            Self::List(_) => list(&store, output),
        }
    }
}

/// Creates a group; returns its row.
async fn create(store: &Store, name: String, credit: u64) -> Result<i64> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    ensure!(
        (1..=LONGEST).contains(&name.len()) && name.chars().all(is_plain),
        "`{name}` cannot be the name of a group: use 1 to {LONGEST} letters, digits, `.`, `_` and `-`"
    );
    ensure!(is_possible(credit), "there is not so much money");
    let added = name.clone();
    let change = move |db: &Connection| {
        let id = groups::add(db, &added)?;
        match id {
            Some(id) if credit > 0 => groups::top_up(db, id, credit)?,
            _ => {}
        }
        Ok(id)
    };
    let created = store.write(change).await?;
    created.with_context(|| {
        format!("there is a group `{name}` already; see `poq-gateway groups list`")
    })
}

/// Whether the database can have such an amount: 63 bits.
fn is_possible(amount: u64) -> bool {
    i64::try_from(amount).is_ok()
}

/// The group with a name.
///
/// # Errors
/// If there is none.
pub(super) fn find(store: &Store, name: &str) -> Result<Group> {
    let found = store.read(|db| groups::find(db, name))?;
    found.with_context(|| format!("there is no group `{name}`; see `poq-gateway groups list`"))
}

/// A group and the sums of its ledger. All amounts are base units.
#[derive(Serialize)]
struct Shown {
    name: String,
    credit: u64,
    topped_up: u64,
    deposited: u64,
    charged: u64,
    returned: u64,
    created: u64,
}

impl Shown {
    fn new(db: &Connection, group: Group) -> rusqlite::Result<Self> {
        let sum = |kind| groups::sum(db, group.id, kind);
        Ok(Self {
            credit: group.credit,
            topped_up: sum("top-up")?,
            deposited: sum("deposit")?,
            charged: sum("charge")?,
            returned: sum("return")?,
            created: group.created,
            name: group.name,
        })
    }

    fn read(store: &Store, group: i64) -> Result<Self> {
        Ok(store.read(|db| Self::new(db, groups::get(db, group)?))?)
    }

    fn print(&self, output: Output) -> Result<()> {
        let lines = [
            ("name", self.name.clone()),
            ("credit", self.credit.to_string()),
            ("topped up", self.topped_up.to_string()),
            ("deposited", self.deposited.to_string()),
            ("charged", self.charged.to_string()),
            ("returned", self.returned.to_string()),
        ];
        Ok(output.print_figures(self, table(&lines))?)
    }

    fn line(&self) -> String {
        let paid_in = self.topped_up.saturating_add(self.deposited);
        format!(
            "{}  credit {}  paid in {paid_in}  charged {}  returned {}",
            self.name, self.credit, self.charged, self.returned
        )
    }
}

fn list(store: &Store, output: Output) -> Result<()> {
    let shown = store.read(|db| {
        let groups = groups::list(db)?.into_iter();
        groups
            .map(|group| Shown::new(db, group))
            .collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let lines: Vec<_> = shown.iter().map(Shown::line).collect();
    Ok(output.print_figures(&shown, lines.join("\n"))?)
}
