use std::path::Path;

use anyhow::{Result, ensure};
use poq_worker::program::Output;
use serde::Serialize;

use super::{ReleaseNode, settings, store};
use crate::store::{now, quarantine};

#[derive(Serialize)]
struct Listed {
    operator: String,
    reason: String,
    /// How often it was quarantined.
    times: u32,
    /// Seconds since 1970.
    since: u64,
    /// Seconds since 1970.
    until: u64,
}

/// Lists the nodes in quarantine.
pub(super) fn list(home: &Path, output: Output) -> Result<()> {
    let store = store(&settings(home)?.0)?;
    let now = now();
    let listed = store.read(|db| quarantine::list(db, now))?.into_iter();
    let listed: Vec<_> = listed
        .map(|found| Listed {
            operator: found.operator,
            reason: found.reason,
            times: found.times,
            since: found.since,
            until: found.until,
        })
        .collect();
    let line = |listed: &Listed| {
        let minutes = listed.until.saturating_sub(now).div_ceil(60);
        format!(
            "{}  {minutes} min left  {} times  {}",
            listed.operator, listed.times, listed.reason
        )
    };
    let lines: Vec<_> = listed.iter().map(line).collect();
    output.print_figures(&listed, lines.join("\n"))?;
    Ok(())
}

#[derive(Serialize)]
struct Released {
    released: String,
}

/// Ends a node's quarantine: the next sets use it again.
pub(super) async fn release(home: &Path, options: ReleaseNode) -> Result<()> {
    let store = store(&settings(home)?.0)?;
    let operator = options.operator.clone();
    let change = move |db: &rusqlite::Connection| quarantine::release(db, &operator, now());
    ensure!(
        store.write(change).await?,
        "no node of {} is in quarantine; see `poq-gateway nodes list`",
        options.operator
    );
    let text = format!("{} is used again", options.operator);
    let released = Released {
        released: options.operator,
    };
    options.output.output.print_figures(&released, text)?;
    Ok(())
}
