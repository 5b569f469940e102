use std::path::Path;

use anyhow::{Result, ensure};
use poq_worker::program::{Output, table};
use serde::Serialize;

use super::{CreateKey, RevokeKey, groups, settings, store};
use crate::keys::Secret;
use crate::store::keys::{self, Key, Limits};
use crate::store::{groups as store_groups, now};

const DAY: u64 = 86_400;

#[derive(Serialize)]
struct Created {
    name: String,
    key: String,
}

/// Creates a key and shows it.
pub(super) async fn create(home: &Path, options: CreateKey) -> Result<()> {
    ensure!(!options.name.trim().is_empty(), "--name must not be blank");
    let store = store(&settings(home)?.0)?;
    let group = options.group.as_deref();
    let group = group.map(|name| groups::find(&store, name)).transpose()?;
    let secret = Secret::random();
    let key = Key {
        group: group.map(|group| group.id),
        prefix: secret.prefix.clone(),
        name: options.name.clone(),
        models: (!options.models.is_empty()).then_some(options.models),
        limits: Limits {
            requests_per_minute: options.requests_per_minute,
            streams: options.streams,
            max_price: options.max_price,
            budget_day: options.budget_day,
            budget_month: options.budget_month,
        },
        expires: options.days.map(|days| now() + u64::from(days) * DAY),
        ..Key::default()
    };
    let digest = secret.digest;
    store.write(move |db| keys::add(db, digest, &key)).await?;
    let created = Created {
        name: options.name,
        key: secret.text,
    };
    let lines = [
        ("name", created.name.clone()),
        (
            "key",
            format!("{}  (copy it; it is not stored)", created.key),
        ),
    ];
    options
        .output
        .output
        .print_figures(&created, table(&lines))?;
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    name: String,
    prefix: String,
    group: Option<String>,
    models: Option<Vec<String>>,
    max_price: Option<u64>,
    created: u64,
    expires: Option<u64>,
    revoked: Option<u64>,
    /// Base units, ever.
    spent: u64,
}

impl Listed {
    fn new(key: Key, group: Option<String>, spent: u64) -> Self {
        Self {
            name: key.name,
            prefix: key.prefix,
            group,
            models: key.models,
            max_price: key.limits.max_price,
            created: key.created,
            expires: key.expires,
            revoked: key.revoked,
            spent,
        }
    }

    fn line(&self) -> String {
        let now = now();
        let state = match (self.revoked, self.expires) {
            (Some(_), _) => "revoked",
            (None, Some(end)) if end <= now => "ended",
            (None, _) => "valid",
        };
        let models = self
            .models
            .as_ref()
            .map_or("all models".into(), |models| models.join(" "));
        let group = self.group.as_deref().unwrap_or("-");
        format!(
            "{}…  {state:7}  {}  {group}  {models}  spent {}",
            self.prefix, self.name, self.spent
        )
    }
}

/// Lists all keys.
pub(super) fn list(home: &Path, output: Output) -> Result<()> {
    let store = store(&settings(home)?.0)?;
    let listed = store.read(|db| {
        let keys = keys::list(db)?.into_iter();
        keys.map(|key| {
            let spent = keys::spent(db, key.id, 0)?;
            let group = key.group.map(|group| store_groups::get(db, group));
            let group = group.transpose()?.map(|group| group.name);
            Ok(Listed::new(key, group, spent))
        })
        .collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let lines: Vec<_> = listed.iter().map(Listed::line).collect();
    output.print_figures(&listed, lines.join("\n"))?;
    Ok(())
}

#[derive(Serialize)]
struct Revoked {
    revoked: usize,
}

/// Revokes the keys with a name or prefix.
pub(super) async fn revoke(home: &Path, options: RevokeKey) -> Result<()> {
    let store = store(&settings(home)?.0)?;
    let name = options.key.clone();
    let revoked = store.write(move |db| keys::revoke(db, &name)).await?;
    ensure!(
        revoked > 0,
        "there is no valid key with the name or beginning `{}`; see `poq-gateway keys list`",
        options.key
    );
    let text = format!("{revoked} revoked");
    options
        .output
        .output
        .print_figures(&Revoked { revoked }, text)?;
    Ok(())
}
