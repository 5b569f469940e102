use std::path::Path;

use poq_worker::commands;

use super::Init;
use crate::config::Template;

/// Creates a home with `config.toml` and the account's key.
pub(super) async fn init(home: &Path, options: Init) -> anyhow::Result<()> {
    let template = Template {
        listen: options.listen,
        models: options.models,
        allow_private: options.allow_private_endpoints,
        evaluator_models: options.evaluator_models,
    };
    commands::init(home, options.common, "gateway", |chain| {
        template.render(chain)
    })
    .await
}
