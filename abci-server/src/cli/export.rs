//! `poqd export`.

use std::sync::Arc;

use anyhow::Context;
use poq_app::{App, NoReference, Options};

use crate::export::export;
use crate::home::Home;
use crate::home::genesis::{Genesis, parse_chain_id};
use crate::home::settings::AppSettings;
use crate::home::settings::Format;

/// Flags of `export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Height of the state, one of those that the node keeps; default: the last one.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    height: Option<u64>,
    /// Id of the new chain; default: the same, which is only for looking: transactions of the old
    /// chain could be sent again.
    #[arg(long, value_name = "ID", value_parser = parse_chain_id)]
    chain_id: Option<String>,
}

impl Export {
    /// Prints a genesis document with the state of the home's node, which must be stopped.
    ///
    /// # Errors
    /// If there is no such state.
    pub fn run(self, home: &Home) -> anyhow::Result<()> {
        let mut genesis = Genesis::read(&home.genesis())?;
        let data = home.app_data();
        anyhow::ensure!(
            data.is_dir(),
            "{} does not exist; check --home",
            data.display()
        );
        let options = Options {
            keep_versions: AppSettings::load(home)?.keep_versions,
        };
        let app = App::open(&data, options, Arc::new(NoReference)).with_context(|| {
            format!(
                "cannot open the application's data in {}; stop the node first",
                data.display()
            )
        })?;
        let exported = export(&app, self.height)?;
        for change in &exported.changes {
            eprintln!("{change}");
        }
        let chain_id = self.chain_id.unwrap_or_else(|| genesis.chain_id.clone());
        genesis.found(&chain_id, exported.validators, exported.app_state);
        // A chain whose validators have no VRF keys yet starts without outputs.
        let state = genesis.app_state.iter();
        let mut validators = state.flat_map(|state| &state.validators);
        if validators.any(|validator| validator.vrf_key.is_empty()) {
            eprintln!("votes will carry no outputs: a validator has no VRF key");
            genesis.set_vote_extensions_height(0);
        }
        Ok(Format::Json.print(&genesis)?)
    }
}
