//! `poqd config`: reads and changes settings of a home.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, ensure};
use poq_client::durable;
use serde_json::Value as Json;
use toml_edit::{DocumentMut, Item, Table, Value};

use crate::home::Home;
use crate::home::comet_config::CometConfig;
use crate::home::settings::Format;
use crate::home::settings::{AppSettings, ClientSettings};

/// Commands of `config`.
#[derive(Debug, clap::Args)]
pub(super) struct Config {
    /// Format of results; default: as in client.toml.
    #[arg(long, short = 'o', global = true, value_enum)]
    pub output: Option<Format>,
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Print all settings with their values.
    List,
    /// Print one setting's value.
    Get {
        /// File and name, for example client.node, app.comet.supervise or comet.rpc.laddr.
        key: Key,
    },
    /// Change one setting. Comments and the other settings stay.
    Set {
        /// File and name, for example client.node, app.comet.supervise or comet.rpc.laddr.
        key: Key,
        /// New value. A list is written as in TOML or as comma-separated entries.
        value: String,
    },
}

/// A settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    App,
    Client,
    /// CometBFT's config.toml.
    Comet,
}

/// The file and name of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    file: File,
    /// Name, with dots between tables.
    name: String,
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected app.NAME, client.NAME or comet.NAME, for example client.node";
        let (file, name) = text.split_once('.').ok_or(expected)?;
        let files = [File::App, File::Client, File::Comet];
        let file = files.into_iter().find(|known| known.name() == file);
        Ok(Self {
            file: file.ok_or(expected)?,
            name: name.to_owned(),
        })
    }
}

impl File {
    fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Client => "client",
            Self::Comet => "comet",
        }
    }
}

impl Config {
    /// Runs the command.
    ///
    /// # Errors
    /// If a file is invalid, or would be with the new value.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        if let ConfigCommand::Set { key, value } = &self.command {
            return set(home, key, value);
        }
        let client = ClientSettings::load(home)?;
        let format = self.output.unwrap_or(client.output);
        let mut settings = BTreeMap::new();
        flatten("client", &serde_json::to_value(&client)?, &mut settings);
        let app = serde_json::to_value(AppSettings::load(home)?)?;
        flatten("app", &app, &mut settings);
        // A home that has only keys has no CometBFT.
        if home.comet_toml().is_file() {
            let comet = serde_json::to_value(CometConfig::open(home.comet_toml())?.values()?)?;
            flatten("comet", &comet, &mut settings);
        }
        match self.command {
            ConfigCommand::Get { key } => {
                let name = key.full_name();
                let value = settings
                    .get(&name)
                    .with_context(|| format!("no setting is named `{name}`; see `config list`"))?;
                print(format, value)
            }
            _ => Ok(format.print_json(&serde_json::to_value(&settings)?)?),
        }
    }
}

impl Key {
    fn full_name(&self) -> String {
        format!("{}.{}", self.file.name(), self.name)
    }
}

/// Prints a value. Text is printed without quotes, for scripts.
fn print(format: Format, value: &Json) -> anyhow::Result<()> {
    match (format, value) {
        (Format::Text, Json::String(text)) => println!("{text}"),
        (Format::Text, value) => println!("{value}"),
        (Format::Json, value) => format.print_json(value)?,
    }
    Ok(())
}

/// Collects names and values of all settings of a table. Unset ones are null.
fn flatten(name: &str, value: &Json, settings: &mut BTreeMap<String, Json>) {
    match value {
        Json::Object(table) => {
            for (key, value) in table {
                flatten(&format!("{name}.{key}"), value, settings);
            }
        }
        value => {
            settings.insert(name.to_owned(), value.clone());
        }
    }
}

fn set(home: &Home, key: &Key, value: &str) -> anyhow::Result<()> {
    let (path, default) = match key.file {
        File::App => (home.app_toml(), AppSettings::default().to_toml()),
        File::Client => (home.client_toml(), ClientSettings::default().to_toml()),
        File::Comet => return set_of_comet(home, key, value),
    };
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => default,
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    ensure!(
        home.config().is_dir(),
        "{} is not a poqd home: it has no folder `config`; check --home",
        home.path().display()
    );
    let text = changed(&text, key, value)
        .with_context(|| format!("`{value}` cannot be `{}`", key.full_name()))?;
    Ok(durable::replace(&path, text.as_bytes())?)
}

/// Sets a CometBFT setting. Only the file that CometBFT created lists its settings.
fn set_of_comet(home: &Home, key: &Key, value: &str) -> anyhow::Result<()> {
    let mut config = CometConfig::open(home.comet_toml()).with_context(|| {
        format!(
            "{} has no config of CometBFT; check --home",
            home.path().display()
        )
    })?;
    config.set_text(&key.name, value)?;
    Ok(config.save()?)
}

/// Returns the file's text with one setting changed. The value is stored as text if the setting may be
/// text.
fn changed(text: &str, key: &Key, value: &str) -> anyhow::Result<String> {
    let with = |value: Value| -> anyhow::Result<String> {
        let mut document: DocumentMut = text.parse()?;
        insert(document.as_table_mut(), &key.name, value)?;
        let text = document.to_string();
        check(key.file, &text)?;
        Ok(text)
    };
    let as_text = with(value.into());
    match value.parse() {
        Ok(value) => as_text.or_else(|_| with(value)),
        Err(_) => as_text,
    }
}

fn insert(table: &mut Table, name: &str, mut value: Value) -> anyhow::Result<()> {
    match name.split_once('.') {
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(toml_edit::table);
            let inner = inner.as_table_mut().context("its parent is not a table")?;
            insert(inner, rest, value)
        }
        None => {
            if let Some(old) = table.get(name).and_then(Item::as_value) {
                *value.decor_mut() = old.decor().clone();
            }
            table[name] = Item::Value(value);
            Ok(())
        }
    }
}

fn check(file: File, text: &str) -> anyhow::Result<()> {
    match file {
        File::App => drop(toml::from_str::<AppSettings>(text)?),
        File::Client => toml::from_str::<ClientSettings>(text)?.validate()?,
        // CometBFT's file is checked when it is changed.
        File::Comet => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str, key: &str, value: &str) -> anyhow::Result<String> {
        changed(text, &key.parse().unwrap(), value)
    }

    #[test]
    fn one_setting_changes_and_comments_stay() {
        let app = AppSettings::default().to_toml();
        let text = change(&app, "app.keep-versions", "7").unwrap();
        assert_eq!(
            text,
            app.replace("keep-versions = 1000", "keep-versions = 7")
        );
        let text = change(&app, "app.comet.supervise", "true").unwrap();
        assert!(text.contains("supervise = true"));
        let text = change(&app, "app.metrics-address", "127.0.0.1:9").unwrap();
        let settings: AppSettings = toml::from_str(&text).unwrap();
        assert_eq!(settings.metrics_address.unwrap().port(), 9);
        let client = ClientSettings::default().to_toml();
        // A number is stored as text if the setting is text.
        let text = change(&client, "client.chain-id", "7").unwrap();
        assert!(text.contains("chain-id = \"7\""));
    }

    #[test]
    fn what_start_would_refuse_is_refused() {
        let app = AppSettings::default().to_toml();
        for (key, value) in [
            ("app.keep-versions", "-1"),
            ("app.keep-version", "1"),
            ("app.abci", "nowhere"),
            ("app.comet.supervise", "maybe"),
            ("app.comet.supervised", "true"),
            ("app.abci.port", "1"),
        ] {
            assert!(change(&app, key, value).is_err(), "{key}");
        }
        let client = ClientSettings::default().to_toml();
        for (key, value) in [
            ("client.output", "xml"),
            ("client.gas-adjustment", "0.5"),
            ("client.node", "nowhere"),
        ] {
            assert!(change(&client, key, value).is_err(), "{key}");
        }
        assert!("node".parse::<Key>().is_err());
        assert!("config.node".parse::<Key>().is_err());
        assert!("comet.rpc.laddr".parse::<Key>().is_ok());
    }
}
