//! `poqd tx sign|broadcast|encode|decode`: transactions in files, as the Cosmos SDK's JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use poq_client::keyring::KeyInfo;
use poq_client::tx::{self, Signer};
use poq_client::{Client, Error, address_of, found};

use super::account::{Accepted, find, missing};
use super::{BroadcastMode, TxFlags, chain_of, multisig, signers};
use crate::cli::input::read_bytes;
use crate::home::Home;
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;

/// Flags of `tx sign`.
#[derive(Debug, clap::Args)]
pub(super) struct Sign {
    /// File with the transaction; - is standard input.
    file: PathBuf,
    /// Name or address of the multisignature account of the transaction: print the signature of --from
    /// as one of its keys, for `tx multisign`.
    #[arg(long, value_name = "KEY")]
    multisig: Option<String>,
    #[command(flatten)]
    signer: SignerFlags,
}

/// Flags of commands that only sign.
#[derive(Debug, clap::Args)]
pub(super) struct SignerFlags {
    /// Sign without a node; needs --chain-id, --account-number and --sequence.
    #[arg(long, requires_all = ["account_number", "sequence"])]
    offline: bool,
    /// Account number; default: queried from the chain.
    #[arg(long, value_name = "NUMBER")]
    account_number: Option<u64>,
    /// Sequence number of the account; default: queried from the chain.
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
}

/// Flags of `tx broadcast`.
#[derive(Debug, clap::Args)]
pub(super) struct Broadcast {
    /// File with the signed transaction; - is standard input.
    file: PathBuf,
}

/// Flags of `tx encode`.
#[derive(Debug, clap::Args)]
pub(super) struct Encode {
    /// File with the transaction; - is standard input.
    file: PathBuf,
}

/// Flags of `tx decode`.
#[derive(Debug, clap::Args)]
pub(super) struct Decode {
    /// Bytes of the transaction, base64.
    tx: String,
}

impl Sign {
    pub(super) async fn run(
        self,
        flags: &TxFlags,
        home: &Home,
        settings: &ClientSettings,
    ) -> anyhow::Result<()> {
        let tx = read(&self.file)?;
        let keyring = flags.keyring.open(home, settings)?;
        let from = flags
            .from
            .as_deref()
            .context("choose the key that signs with --from NAME")?;
        let key = find(&keyring, from)?.ok_or_else(|| missing(&keyring, from))?;
        let Some(name) = &self.multisig else {
            signers::check(&tx, &key.public_key, &key.name)?;
            let signer = self.signer.of(&key, flags, settings).await?;
            let signed = tx::sign_tx(tx, &signer, &keyring.key(&key.name)?)?;
            return Ok(Format::Json.print_json(&tx::to_json(&signed)?)?);
        };
        let (account, multisig) = multisig::find(&keyring, name)?;
        ensure!(
            multisig.keys().contains(&key.public_key),
            "`{}` is not one of the keys of `{}`",
            key.name,
            account.name
        );
        signers::check(&tx, &account.public_key, &account.name)?;
        let signer = self.signer.of(&account, flags, settings).await?;
        let document = multisig::document(&tx, &signer)?;
        let signature = tx::sign_amino(&document, signer.sequence, &keyring.key(&key.name)?)?;
        Ok(Format::Json.print_json(&tx::signatures_to_json(&[signature])?)?)
    }
}

impl SignerFlags {
    /// Chain id, account number and sequence for a signature of an account.
    pub(super) async fn of(
        &self,
        account: &KeyInfo,
        flags: &TxFlags,
        settings: &ClientSettings,
    ) -> anyhow::Result<Signer> {
        if self.offline {
            return self.offline(flags.chain_id(settings));
        }
        let (client, _) = flags.node.open(settings)?;
        let chain_id = chain_of(&client, flags.chain_id(settings)).await?;
        self.online(&client, chain_id, &account.public_key).await
    }

    fn offline(&self, chain_id: Option<&str>) -> anyhow::Result<Signer> {
        Ok(Signer {
            chain_id: chain_id
                .context("set the chain with --chain-id ID, or chain-id in client.toml")?
                .to_owned(),
            account_number: self.account_number.context("--account-number is missing")?,
            sequence: self.sequence.context("--sequence is missing")?,
        })
    }

    async fn online(
        &self,
        client: &Client,
        chain_id: String,
        public_key: &[u8],
    ) -> anyhow::Result<Signer> {
        let prefix = client.params().await?.bech32_prefix;
        let address = address_of(public_key, &prefix)?;
        let account = found(client.account(&address).await)?;
        let account = account.ok_or(Error::NoAccount { address })?;
        Ok(Signer {
            chain_id,
            account_number: self.account_number.unwrap_or(account.account_number),
            sequence: self.sequence.unwrap_or(account.sequence),
        })
    }
}

impl Broadcast {
    pub(super) async fn run(
        self,
        flags: &TxFlags,
        settings: &ClientSettings,
    ) -> anyhow::Result<()> {
        let (client, format) = flags.node.open(settings)?;
        let hash = client.broadcast(tx::encode(&read(&self.file)?)).await?;
        match flags.broadcast_mode {
            BroadcastMode::Sync => Ok(format.print(&Accepted { hash })?),
            BroadcastMode::Block => {
                let timeout = Duration::from_secs(flags.timeout);
                let outcome = client.wait(hash, timeout).await?.success()?;
                Ok(format.print(&outcome)?)
            }
        }
    }
}

impl Encode {
    pub(super) fn run(self, format: Format) -> anyhow::Result<()> {
        let text = BASE64.encode(tx::encode(&read(&self.file)?));
        match format {
            // Plain base64, for use in a request.
            Format::Text => println!("{text}"),
            Format::Json => format.print(&text)?,
        }
        Ok(())
    }
}

impl Decode {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let bytes = BASE64.decode(self.tx.trim()).context("TX is not base64")?;
        Ok(Format::Json.print_json(&tx::to_json(&tx::decode(&bytes)?)?)?)
    }
}

pub(super) fn read(file: &Path) -> anyhow::Result<poq_client::tx::Tx> {
    let name = file.display();
    let json = read_bytes(file).with_context(|| format!("cannot read {name}"))?;
    tx::from_json(&json).with_context(|| format!("{name} cannot be used"))
}
