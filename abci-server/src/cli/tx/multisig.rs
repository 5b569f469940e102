//! `poqd tx multisign`: transactions of multisignature accounts.

use std::path::PathBuf;

use anyhow::Context;
use poq_app::tx::amino_document;
use poq_client::Multisig;
use poq_client::keyring::{KeyInfo, Keyring};
use poq_client::tx::{self, Signer, Tx};

use super::account::{find as find_key, missing};
use super::file::{SignerFlags, read};
use super::{TxFlags, signers};
use crate::cli::input::read_bytes;
use crate::home::Home;
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;

/// Flags of `tx multisign`.
#[derive(Debug, clap::Args)]
pub(super) struct Multisign {
    /// File with the transaction; - is standard input.
    file: PathBuf,
    /// Name or address of the account's key.
    key: String,
    /// Files with the output of `tx sign --multisig` of each signer.
    #[arg(required = true, value_name = "SIGNATURES")]
    signatures: Vec<PathBuf>,
    #[command(flatten)]
    signer: SignerFlags,
}

impl Multisign {
    pub(super) async fn run(
        self,
        flags: &TxFlags,
        home: &Home,
        settings: &ClientSettings,
    ) -> anyhow::Result<()> {
        let tx = read(&self.file)?;
        let keyring = flags.keyring.open(home, settings)?;
        let (account, multisig) = find(&keyring, &self.key)?;
        let mut signatures = Vec::new();
        for file in &self.signatures {
            let name = file.display();
            let json = read_bytes(file).with_context(|| format!("cannot read {name}"))?;
            let found = tx::signatures_from_json(&json);
            signatures.extend(found.with_context(|| format!("{name} cannot be used"))?);
        }
        signers::check(&tx, &account.public_key, &account.name)?;
        let signer = self.signer.of(&account, flags, settings).await?;
        let document = document(&tx, &signer)?;
        let signed = multisig.join(tx, signer.sequence, &document, &signatures)?;
        Ok(Format::Json.print_json(&tx::to_json(&signed)?)?)
    }
}

/// Finds the multisignature account with this name or address.
pub(super) fn find(keyring: &Keyring, key: &str) -> anyhow::Result<(KeyInfo, Multisig)> {
    let account = find_key(keyring, key)?.ok_or_else(|| missing(keyring, key))?;
    let multisig = account
        .threshold
        .and_then(|_| Multisig::decode(&account.public_key).ok());
    let multisig = multisig.with_context(|| {
        format!(
            "`{}` is a single key, not a multisignature account: add one with `poqd keys add NAME --multisig KEY,KEY --multisig-threshold NUMBER`",
            account.name
        )
    })?;
    Ok((account, multisig))
}

/// The bytes that each key signs.
pub(super) fn document(tx: &Tx, signer: &Signer) -> anyhow::Result<Vec<u8>> {
    let body = tx.body.clone().unwrap_or_default();
    let fee = tx
        .auth_info
        .clone()
        .unwrap_or_default()
        .fee
        .unwrap_or_default();
    let (number, sequence) = (signer.account_number, signer.sequence);
    Ok(amino_document(
        &body,
        &fee,
        &signer.chain_id,
        number,
        sequence,
    )?)
}
