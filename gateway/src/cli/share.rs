//! Keys that several gateways share: digests and limits, never secrets.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use poq_worker::program::Output;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::keys::group_of;
use super::{ImportKeys, settings, store};
use crate::store::groups;
use crate::store::keys::{self, Key, Limits};

/// A key as one gateway gives it to another.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    /// SHA-256 of the key, hex.
    digest: String,
    prefix: String,
    name: String,
    group: Option<String>,
    models: Option<Vec<String>>,
    limits: Limits,
    expires: Option<u64>,
    revoked: Option<u64>,
}

impl Shared {
    fn new(db: &Connection, (digest, key): ([u8; 32], Key)) -> rusqlite::Result<Self> {
        Ok(Self {
            digest: hex::encode(digest),
            group: group_of(db, &key)?,
            prefix: key.prefix,
            name: key.name,
            models: key.models,
            limits: key.limits,
            expires: key.expires,
            revoked: key.revoked,
        })
    }

    fn digest(&self) -> Result<[u8; 32]> {
        let mut digest = [0; 32];
        hex::decode_to_slice(&self.digest, &mut digest).with_context(|| {
            format!(
                "the digest of the key `{}` is not 64 hex digits",
                self.prefix
            )
        })?;
        Ok(digest)
    }

    /// Takes the key in; returns whether it is new. Its group is created, without credit, if there is none
    /// with this name: without one, nothing would limit the key.
    fn import(self, db: &Connection, digest: [u8; 32]) -> rusqlite::Result<bool> {
        let group = match &self.group {
            None => None,
            Some(name) => match groups::find(db, name)? {
                Some(group) => Some(group.id),
                None => groups::add(db, name)?,
            },
        };
        let key = Key {
            prefix: self.prefix,
            name: self.name,
            group,
            models: self.models,
            limits: self.limits,
            expires: self.expires,
            revoked: self.revoked,
            ..Key::default()
        };
        keys::import(db, digest, &key)
    }
}

/// Prints all keys.
pub(super) fn export(home: &Path) -> Result<()> {
    let store = store(&settings(home)?.0)?;
    let shared = store.read(|db| {
        let keys = keys::export(db)?.into_iter();
        keys.map(|key| Shared::new(db, key))
            .collect::<rusqlite::Result<Vec<_>>>()
    })?;
    Ok(Output::Json.print_figures(&shared, "")?)
}

#[derive(Serialize)]
struct Imported {
    added: usize,
    updated: usize,
}

/// Takes keys in: all or none.
pub(super) async fn import(home: &Path, options: ImportKeys) -> Result<()> {
    let file = &options.file;
    let text = match file.as_os_str() == "-" {
        true => io::read_to_string(io::stdin()),
        false => fs::read_to_string(file),
    };
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let shared: Vec<Shared> = serde_json::from_str(&text)
        .with_context(|| format!("{} is not what `keys export` prints", file.display()))?;
    let with_digest = |shared: Shared| Ok((shared.digest()?, shared));
    let shared = shared
        .into_iter()
        .map(with_digest)
        .collect::<Result<Vec<_>>>()?;
    let store = store(&settings(home)?.0)?;
    let total = shared.len();
    let change = move |db: &Connection| {
        let mut added = 0;
        for (digest, shared) in shared {
            added += usize::from(shared.import(db, digest)?);
        }
        Ok(added)
    };
    let added = store.write(change).await?;
    let imported = Imported {
        added,
        updated: total - added,
    };
    let text = format!("{added} added, {} updated", imported.updated);
    Ok(options.output.output.print_figures(&imported, text)?)
}
