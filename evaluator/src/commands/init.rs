use std::path::Path;

use anyhow::Result;
use poq_worker::commands;

use crate::cli::Init;
use crate::config;

/// Creates a home.
pub(super) async fn init(home: &Path, args: Init) -> Result<()> {
    let Init { common, models } = args;
    commands::init(home, common, "evaluator", |chain| {
        config::render(chain, &models)
    })
    .await
}
