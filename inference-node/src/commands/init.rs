use std::path::Path;

use anyhow::{Context, bail};
use poq_client::keyring::{self, Keyring};
use poq_client::{Client, Mnemonic, durable, worker};
use serde_json::json;

use super::print;
use crate::cli::Init;
use crate::{catalog, config};

/// Writes `config.toml` and makes the operator's key.
pub async fn init(home: &Path, options: Init) -> anyhow::Result<()> {
    let chain_id = match options.chain_id {
        Some(chain_id) => chain_id,
        None => {
            let status = Client::new(&options.node)?.status().await;
            status
                .context("cannot ask the node for its chain; give --chain-id")?
                .chain_id
        }
    };
    std::fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
    let path = home.join("config.toml");
    let concurrency = match (options.concurrency, &options.hub) {
        (Some(given), _) => given,
        // Nobody knows yet how large it is.
        (None, Some(_)) => 1,
        (None, None) => config::suggested_concurrency(options.threads, &options.model_file),
    };
    let of_catalog = || catalog::find(&options.model).map(|entry| entry.weights);
    let weights = match options.weights {
        Some(given) => given,
        None => of_catalog().unwrap_or_default(),
    };
    let prefix = worker::address_prefix(&options.node).await;
    let text = config::template(&config::Template {
        chain_id,
        node: options.node,
        key: options.key.clone(),
        keyring: options.keyring_backend.to_string(),
        model: options.model,
        model_file: options.model_file,
        hub: options.hub,
        weights,
        threads: options.threads,
        concurrency,
        listen: options.listen,
        open: options.open,
    });
    if path.exists() {
        bail!(
            "{} exists already: change it, or delete it first",
            path.display()
        );
    }
    let keyring = Keyring::open(home, options.keyring_backend, keyring::ask)?.with_prefix(prefix);
    let (key, mnemonic) = keyring.ensure(&options.key, recovered(options.recover)?.as_ref())?;
    durable::create(&path, text.as_bytes())?;
    let value = json!({
        "config": path,
        "key": key.name,
        "address": key.address,
        "mnemonic": mnemonic.as_ref().map(|mnemonic| mnemonic.words()),
    });
    print(options.output.output, &value, || {
        let words = mnemonic.map_or(String::new(), |mnemonic| {
            format!(
                "\nmnemonic: {}\nWrite the mnemonic down: it is kept nowhere.",
                mnemonic.words()
            )
        });
        format!(
            "config:  {}\naddress: {}{words}",
            path.display(),
            key.address
        )
    });
    Ok(())
}

/// The mnemonic on the standard input, if the key is to be recovered.
fn recovered(recover: bool) -> anyhow::Result<Option<Mnemonic>> {
    if !recover {
        return Ok(None);
    }
    let words = std::io::read_to_string(std::io::stdin()).context("cannot read the mnemonic")?;
    Ok(Some(Mnemonic::parse(&words)?))
}
