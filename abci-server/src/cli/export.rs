//! `poqd export`.

use std::sync::Arc;

use anyhow::Context;
use poq_app::{App, NoReference, Options};

use crate::home::Home;
use crate::home::genesis::{Genesis, Validator, parse_chain_id};
use crate::home::settings::{AppSettings, Format};

/// Flags of `export`.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
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
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
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
        let exported = app.export(self.height)?;
        for note in &exported.notes {
            eprintln!("{note}");
        }
        let chain_id = self.chain_id.unwrap_or_else(|| genesis.chain_id.clone());
        let validators = exported.validators.iter();
        let validators = validators
            .map(|validator| Validator::new(&validator.public_key, validator.power, String::new()))
            .collect();
        genesis.found(&chain_id, validators, exported.app_state);
        genesis.set_vote_extensions_height(exported.vote_extensions_height);
        Ok(Format::Json.print(&genesis)?)
    }
}
