use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use poq_worker::program::{Output, OutputArg};
use rusqlite::Connection;
use serde::Serialize;

use super::{groups, settings, store};
use crate::store::deposits::{self, Deposit, Place};
use crate::store::{Store, groups as store_groups};

/// Commands of `deposits`.
#[derive(Debug, Subcommand)]
pub(super) enum Deposits {
    /// List all transfers to the gateway's account since its first start.
    List(List),
    /// Credit a group with a transfer whose memo names none.
    Assign(Assign),
}

/// Options of `deposits list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those that no group has.
    #[arg(long)]
    unassigned: bool,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

/// Options of `deposits assign`.
#[derive(Debug, Args)]
pub(super) struct Assign {
    /// Where it is: HEIGHT-INDEX, or HEIGHT-INDEX-MESSAGE for another message than the first.
    deposit: Place,
    /// Name of the group.
    group: String,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

impl Deposits {
    /// How results and failures are printed.
    pub(super) fn output(&self) -> Output {
        match self {
            Self::List(options) => options.output.output,
            Self::Assign(options) => options.output.output,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Failures with their remedies, for the user.
    pub(super) async fn run(self, home: &Path) -> Result<()> {
        let store = store(&settings(home)?.0)?;
        match self {
            Self::List(options) => list(&store, &options),
            Self::Assign(options) => assign(&store, options).await,
        }
    }
}

/// A transfer to the account.
#[derive(Serialize)]
struct Shown {
    deposit: String,
    sender: String,
    /// Base units.
    amount: u64,
    memo: String,
    group: Option<String>,
}

impl Shown {
    fn new(db: &Connection, deposit: Deposit) -> rusqlite::Result<Self> {
        let group = deposit.group.map(|group| store_groups::get(db, group));
        Ok(Self {
            deposit: deposit.place.to_string(),
            sender: deposit.sender,
            amount: deposit.amount,
            memo: deposit.memo,
            group: group.transpose()?.map(|group| group.name),
        })
    }

    fn line(&self) -> String {
        let group = self.group.as_deref().unwrap_or("unassigned");
        let Self {
            deposit,
            sender,
            amount,
            memo,
            ..
        } = self;
        format!("{deposit}  {amount}  {group}  from {sender}  {memo:?}")
    }
}

fn list(store: &Store, options: &List) -> Result<()> {
    let shown = store.read(|db| {
        let mut all = deposits::list(db)?;
        all.retain(|deposit| !options.unassigned || deposit.group.is_none());
        let shown = all.into_iter().map(|deposit| Shown::new(db, deposit));
        shown.collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let lines: Vec<_> = shown.iter().map(Shown::line).collect();
    let output = options.output.output;
    Ok(output.print_figures(&shown, lines.join("\n"))?)
}

async fn assign(store: &Store, options: Assign) -> Result<()> {
    let group = groups::find(store, &options.group)?;
    let (id, place) = (group.id, options.deposit);
    let change = move |db: &Connection| {
        let deposit = deposits::assign(db, place, id)?;
        deposit.map(|deposit| Shown::new(db, deposit)).transpose()
    };
    let assigned = store.write(change).await?.with_context(|| {
        format!(
            "there is no unassigned transfer {place}; see `poq-gateway deposits list --unassigned`"
        )
    })?;
    let line = assigned.line();
    Ok(options.output.output.print_figures(&assigned, line)?)
}
