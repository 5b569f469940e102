use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use poq_client::keyring::{self, ADDRESS_PREFIX, Backend, KeyInfo, Keyring};
use poq_client::{Client, Mnemonic, durable};
use serde::Serialize;
use tokio::time::timeout;

use crate::ChainConfig;
use crate::program::{OutputArg, table};

/// How long to wait for the node when creating a home.
const PREFIX_TIMEOUT: Duration = Duration::from_secs(2);

/// Options of both workers' `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// CometBFT RPC of a node that you trust
    #[arg(long, default_value = "http://127.0.0.1:26657")]
    pub node: String,
    /// Id of the chain; the node's chain unless given
    #[arg(long)]
    pub chain_id: Option<String>,
    /// Name of the operator's key, which is created if it does not exist; `inference` or
    /// `evaluator` unless given
    #[arg(long)]
    pub key: Option<String>,
    /// `file` (encrypted) or `test` (plain files)
    #[arg(long, default_value_t = Backend::File, value_name = "file|test")]
    pub keyring_backend: Backend,
    /// Read the key's 12 to 24 words from stdin instead of creating a new key
    #[arg(long)]
    pub recover: bool,
    /// Form of the result.
    #[command(flatten)]
    pub output: OutputArg,
}

#[derive(Serialize)]
struct Made {
    home: String,
    chain_id: String,
    key: KeyInfo,
    /// Only for a new key.
    #[serde(skip_serializing_if = "Option::is_none")]
    mnemonic: Option<String>,
}

/// Creates a home with the operator's key and the `config.toml` that `render` returns.
///
/// # Errors
/// If the home exists already or cannot be created.
pub async fn init(
    home: &Path,
    args: Init,
    default_key: &str,
    render: impl FnOnce(&ChainConfig) -> String,
) -> Result<()> {
    let config_path = home.join("config.toml");
    ensure!(
        !config_path.exists(),
        "{} exists already; edit it, or choose another --home",
        config_path.display()
    );
    let chain_id = match args.chain_id {
        Some(chain_id) => chain_id,
        None => {
            let status = Client::new(&args.node)?.status().await;
            status
                .context("cannot ask the node for its chain; give --chain-id")?
                .chain_id
        }
    };
    let chain = ChainConfig {
        id: chain_id,
        node: args.node,
        key: args.key.unwrap_or_else(|| default_key.into()),
        keyring: args.keyring_backend,
        ..ChainConfig::default()
    };
    let config = render(&chain);
    std::fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
    let keyring = Keyring::open(home, chain.keyring, keyring::ask)?;
    let keyring = keyring.with_prefix(address_prefix(&chain.node).await);
    let (key, mnemonic) = keyring.ensure(&chain.key, recovered(args.recover)?.as_ref())?;
    durable::create(&config_path, config.as_bytes())?;
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
            format!("{words}  (write it down; it is not stored)"),
        ));
    }
    args.output.output.print(&made, table(&lines))?;
    Ok(())
}

/// The mnemonic from the standard input, if the key is to be recovered.
fn recovered(recover: bool) -> Result<Option<Mnemonic>> {
    if !recover {
        return Ok(None);
    }
    let words = std::io::read_to_string(std::io::stdin()).context("cannot read the mnemonic")?;
    Ok(Some(Mnemonic::parse(&words)?))
}

/// The address prefix of the chain at `url`, or the default if the node does not answer soon, since
/// a home may be created before its node runs.
async fn address_prefix(url: &str) -> String {
    let ask = async { Client::new(url).ok()?.params().await.ok() };
    let params = timeout(PREFIX_TIMEOUT, ask).await.ok().flatten();
    params.map_or_else(|| ADDRESS_PREFIX.into(), |params| params.bech32_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_node::{self, FakeNode};

    #[tokio::test]
    async fn a_new_home_has_the_addresses_of_its_chain() {
        let params = poq_proto::v1::QueryParamsResponse {
            params: Some(poq_proto::v1::Params {
                bech32_prefix: "other".into(),
                ..Default::default()
            }),
        };
        let node = FakeNode::start(move |_, _| Ok(fake_node::found(&params))).await;
        assert_eq!(address_prefix(&node.url).await, "other");
        for away in ["http://127.0.0.1:1", "nowhere"] {
            assert_eq!(address_prefix(away).await, "poq");
        }
    }
}
