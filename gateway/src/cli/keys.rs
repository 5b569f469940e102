use std::path::Path;

use anyhow::{Result, bail, ensure};
use poq_worker::program::{Output, table};
use rusqlite::Connection;
use serde::Serialize;

use super::{CreateKey, RevokeKey, ShowKey, groups, settings, store};
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
        let state = state(self.revoked, self.expires);
        let models = models(self.models.as_deref());
        let group = self.group.as_deref().unwrap_or("-");
        format!(
            "{}…  {state:7}  {}  {group}  {models}  spent {}",
            self.prefix, self.name, self.spent
        )
    }
}

fn state(revoked: Option<u64>, expires: Option<u64>) -> &'static str {
    match (revoked, expires) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= now() => "ended",
        (None, _) => "valid",
    }
}

fn models(models: Option<&[String]>) -> String {
    models.map_or("all models".into(), |models| models.join(" "))
}

/// The name of a key's group.
pub(super) fn group_of(db: &Connection, key: &Key) -> rusqlite::Result<Option<String>> {
    let group = key.group.map(|group| store_groups::get(db, group));
    Ok(group.transpose()?.map(|group| group.name))
}

/// Lists all keys.
pub(super) fn list(home: &Path, output: Output) -> Result<()> {
    let store = store(&settings(home)?.0)?;
    let listed = store.read(|db| {
        let keys = keys::list(db)?.into_iter();
        keys.map(|key| {
            let spent = keys::spent(db, key.id, 0)?;
            let group = group_of(db, &key)?;
            Ok(Listed::new(key, group, spent))
        })
        .collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let lines: Vec<_> = listed.iter().map(Listed::line).collect();
    output.print_figures(&listed, lines.join("\n"))?;
    Ok(())
}

#[derive(Serialize)]
struct Shown {
    name: String,
    prefix: String,
    state: &'static str,
    group: Option<String>,
    models: Option<Vec<String>>,
    limits: Limits,
    created: u64,
    expires: Option<u64>,
    revoked: Option<u64>,
    /// Base units, in the last 24 hours.
    spent_day: u64,
    /// Base units, in the last 30 days.
    spent_month: u64,
    /// Base units, ever.
    spent: u64,
}

impl Shown {
    fn new(db: &Connection, key: Key) -> rusqlite::Result<Self> {
        let spent = |since| keys::spent(db, key.id, since);
        Ok(Self {
            spent_day: spent(now().saturating_sub(DAY))?,
            spent_month: spent(now().saturating_sub(30 * DAY))?,
            spent: spent(0)?,
            state: state(key.revoked, key.expires),
            group: group_of(db, &key)?,
            name: key.name,
            prefix: key.prefix,
            models: key.models,
            limits: key.limits,
            created: key.created,
            expires: key.expires,
            revoked: key.revoked,
        })
    }

    fn lines(&self) -> String {
        let limit = |limit: Option<u64>| limit.map_or("no limit".into(), |limit| limit.to_string());
        let limits = &self.limits;
        table(&[
            ("name", self.name.clone()),
            ("key", format!("{}…", self.prefix)),
            ("state", self.state.into()),
            ("group", self.group.clone().unwrap_or("-".into())),
            ("models", models(self.models.as_deref())),
            (
                "requests a minute",
                limit(limits.requests_per_minute.map(u64::from)),
            ),
            ("answers at once", limit(limits.streams.map(u64::from))),
            ("price of a request", limit(limits.max_price)),
            ("budget of a day", limit(limits.budget_day)),
            ("budget of 30 days", limit(limits.budget_month)),
            ("spent in a day", self.spent_day.to_string()),
            ("spent in 30 days", self.spent_month.to_string()),
            ("spent", self.spent.to_string()),
        ])
    }
}

/// Shows one key.
pub(super) fn show(home: &Path, options: &ShowKey) -> Result<()> {
    let store = store(&settings(home)?.0)?;
    let mut found = store.read(|db| {
        let keys = keys::named(db, &options.key)?.into_iter();
        keys.map(|key| Shown::new(db, key))
            .collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let name = &options.key;
    let shown = match (found.pop(), found.len()) {
        (Some(shown), 0) => shown,
        (None, _) => bail!(
            "there is no key with the name or beginning `{name}`; see `poq-gateway keys list`"
        ),
        (Some(_), others) => bail!(
            "{} keys have the name `{name}`; name one by its first characters, see `poq-gateway keys list`",
            others + 1
        ),
    };
    let lines = shown.lines();
    Ok(options.output.output.print_figures(&shown, lines)?)
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
