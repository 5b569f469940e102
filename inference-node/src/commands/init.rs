use std::path::Path;

use poq_worker::commands;
use poq_worker::program::tls;

use super::stream::{CERTIFICATE, NAME, PRIVATE_KEY};
use crate::cli::Init;
use crate::{catalog, config};

/// Creates a home with `config.toml` and the operator's key.
pub(super) async fn init(home: &Path, options: Init) -> anyhow::Result<()> {
    let concurrency = match (options.concurrency, &options.hub) {
        (Some(given), _) => given,
        // The file's size is not known yet.
        (None, Some(_)) => 1,
        (None, None) => config::suggested_concurrency(options.threads, &options.model_file),
    };
    let of_catalog = || catalog::find(&options.model).map(|entry| entry.weights);
    let weights = match options.weights {
        Some(given) => given,
        None => of_catalog().unwrap_or_default(),
    };
    let stream = options.stream_listen.map(|listen| config::StreamTemplate {
        listen,
        certificate: home.join(CERTIFICATE),
        private_key: home.join(PRIVATE_KEY),
    });
    let template = config::Template {
        stream: stream.clone(),
        model: options.model,
        model_file: options.model_file,
        hub: options.hub,
        weights,
        threads: options.threads,
        concurrency,
        listen: options.listen,
        open: options.open,
    };
    commands::init(home, options.common, "inference", |chain| {
        template.render(chain)
    })
    .await?;
    match stream {
        Some(own) => Ok(tls::make_certificate(
            NAME,
            &own.certificate,
            &own.private_key,
        )?),
        None => Ok(()),
    }
}
