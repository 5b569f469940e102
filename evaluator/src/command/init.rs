use anyhow::{Context, Result, ensure};
use poq_client::keyring::{self, KeyInfo, Keyring};
use poq_client::worker::{self, ChainConfig};
use poq_client::{Client, Mnemonic, durable};
use serde::Serialize;

use crate::cli::Init;
use crate::{config, output};

/// Pause between two looks for new blocks that a new `config.toml` has.
const POLL_INTERVAL_MS: u64 = 1000;

#[derive(Serialize)]
struct Made {
    home: String,
    chain_id: String,
    key: KeyInfo,
    /// Only of a new key.
    #[serde(skip_serializing_if = "Option::is_none")]
    mnemonic: Option<String>,
}

/// Makes a home.
pub async fn init(args: Init) -> Result<()> {
    let home = &args.home.home;
    let config_path = home.join("config.toml");
    ensure!(
        !config_path.exists(),
        "{} exists already; edit it, or choose another --home",
        config_path.display()
    );
    let chain_id = match args.chain_id {
        Some(chain_id) => chain_id,
        None => {
            let client = Client::new(&args.node)?;
            let status = client.status().await;
            status
                .context("cannot ask the node for its chain; give --chain-id")?
                .chain_id
        }
    };
    std::fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
    let keyring = Keyring::open(home, args.keyring_backend, keyring::ask)?;
    let keyring = keyring.with_prefix(worker::address_prefix(&args.node).await);
    let (key, mnemonic) = keyring.ensure(&args.key, recovered(args.recover)?.as_ref())?;
    let chain = ChainConfig {
        id: chain_id,
        node: args.node,
        key: args.key,
        keyring: args.keyring_backend,
        poll_interval_ms: POLL_INTERVAL_MS,
        auto_unjail: false,
    };
    durable::create(
        &config_path,
        config::render(&chain, &args.models).as_bytes(),
    )?;
    let made = Made {
        home: home.display().to_string(),
        chain_id: chain.id,
        key,
        mnemonic: mnemonic.map(|mnemonic| mnemonic.words().to_owned()),
    };
    let mut lines = vec![
        ("config", config_path.display().to_string()),
        ("chain", made.chain_id.clone()),
        ("key", made.key.name.clone()),
        ("address", made.key.address.clone()),
    ];
    if let Some(words) = &made.mnemonic {
        lines.push((
            "mnemonic",
            format!("{words}  (write it down; it is kept nowhere)"),
        ));
    }
    output::print(args.output.output, &made, &lines)?;
    Ok(())
}

/// The mnemonic on the standard input, if the key is to be recovered.
fn recovered(recover: bool) -> Result<Option<Mnemonic>> {
    if !recover {
        return Ok(None);
    }
    let words = std::io::read_to_string(std::io::stdin()).context("cannot read the mnemonic")?;
    Ok(Some(Mnemonic::parse(&words)?))
}
