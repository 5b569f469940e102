//! Commands for the catalog.

use anyhow::{Result, bail};
use poq_client::{Client, found};
use poq_proto::v1::Model;
use poq_worker::program::Output;
use serde::Serialize;
use serde_json::{Value, json};
use sysinfo::System;

use super::model::Located;
use crate::catalog::{self, Entry};
use crate::cli::{ShowModel, VerifyModel};
use crate::config::ModelConfig;
use crate::generator::weights::{Facts, Source};

/// Context for which `verify` requires memory, in tokens, unless the model's is smaller.
const CONVERSATION: u64 = 4096;

/// Lists the catalog.
pub(super) fn list(output: Output) -> Result<()> {
    let entries = catalog::all()?;
    let with_memory = entries
        .iter()
        .map(|entry| json!({"entry": entry, "memory": entry.memory()}));
    let value = json!({ "models": with_memory.collect::<Vec<_>>() });
    let line = |entry: &Entry| {
        format!(
            "{:28} {:>7} {:>8} {:>10}  {}",
            entry.id,
            format!("{:.1} B", entry.parameters as f64 / 1e9),
            entry.context_tokens,
            gibibytes(entry.memory().bytes),
            entry.licence,
        )
    };
    let head = format!(
        "{:28} {:>7} {:>8} {:>10}  LICENCE",
        "ID", "WEIGHTS", "CONTEXT", "MEMORY"
    );
    let lines: Vec<String> = std::iter::once(head)
        .chain(entries.iter().map(line))
        .collect();
    output.print_figures(&value, lines.join("\n"))?;
    Ok(())
}

/// Shows a model, and the entry that the authority can register for it.
pub(super) async fn show(options: ShowModel) -> Result<()> {
    let entry = catalog::find(&options.id)?;
    let digest = match &options.model_file {
        Some(file) => Some(Located { path: file.clone() }.digest().await?),
        None => entry.pinned().map(str::to_owned),
    };
    let is_known = digest.is_some();
    let registered = entry.registered(digest.unwrap_or_default());
    if options.registry {
        if !is_known {
            bail!(
                "the digest of {} is computed from your own file: pass it with --model-file",
                entry.id
            );
        }
        Output::Json.print_figures(&registered, "")?;
        return Ok(());
    }
    let value = json!({ "entry": entry, "memory": entry.memory(), "registry": registered });
    let text = text(&entry, &registered);
    options.output.output.print_figures(&value, text)?;
    Ok(())
}

fn text(entry: &Entry, registered: &Model) -> String {
    let memory = entry.memory();
    let digest = match registered.weights_sha256.as_str() {
        "" => "computed from your own file, with --model-file",
        known => known,
    };
    let mut lines = vec![
        format!("{} ({})", entry.name, entry.id),
        format!(
            "architecture:  {}, {} weights",
            entry.architecture, entry.parameters
        ),
        format!("licence:       {}", entry.licence),
        format!("context:       {} tokens", entry.context_tokens),
        format!("chat template: {}, in its files", entry.chat_template),
        format!(
            "hub:           {}, {} files of weights",
            entry.source.hub, entry.source.shards
        ),
    ];
    for file in &entry.quantisations {
        let size = gibibytes(file.bytes);
        lines.push(format!(
            "GGUF:          {} ({}, about {size})",
            file.file, file.name
        ));
    }
    lines.push(format!(
        "memory:        about {} with weights = {}, and {} more per 1000 tokens",
        gibibytes(memory.bytes),
        json!(entry.weights),
        gibibytes(memory.bytes_per_token * 1000),
    ));
    lines.push(format!("digest:        {digest}"));
    lines.push(format!("registry:      {}", json!(registered)));
    lines.join("\n")
}

/// One check of `verify`.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    passed: bool,
    detail: String,
}

impl Check {
    fn new(check: &'static str, passed: bool, detail: String) -> Self {
        Self {
            check,
            passed,
            detail,
        }
    }

    fn equal<T: PartialEq + Serialize>(check: &'static str, found: &T, expected: &T) -> Self {
        let detail = match found == expected {
            true => words(found),
            false => format!("{}, but {} is required", words(found), words(expected)),
        };
        Self::new(check, found == expected, detail)
    }
}

/// Strings without quotes, anything else as JSON.
fn words(value: &impl Serialize) -> String {
    match json!(value) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Checks the files of a model against the catalog, a chain and this machine.
pub(super) async fn verify(options: VerifyModel) -> Result<()> {
    let entry = catalog::find(&options.id)?;
    let model = ModelConfig {
        file: options.model_file.unwrap_or_else(|| entry.default_file()),
        hub: options.hub,
        weights: options.weights.unwrap_or(entry.weights),
        ..ModelConfig::default()
    };
    let located = Located::find(&model).await?;
    let digest = located.digest().await?;
    let facts = Facts::read(&Source::open(&located.path)?)?;

    let mut checks = vec![digest_check(&entry, &digest, options.node.as_deref()).await?];
    checks.push(Check::equal(
        "architecture",
        &facts.architecture,
        &entry.architecture,
    ));
    checks.push(Check::equal("shape", &facts.shape, &entry.shape));
    checks.push(Check::new(
        "context",
        facts.context_tokens >= entry.context_tokens.into(),
        format!("{} tokens", facts.context_tokens),
    ));
    let needed = facts
        .memory(model.weights)
        .with(CONVERSATION.min(facts.context_tokens));
    let there = installed_memory();
    checks.push(Check::new(
        "memory",
        needed <= there,
        format!("about {} of {}", gibibytes(needed), gibibytes(there)),
    ));

    let value = json!({
        "path": located.path,
        "weights_sha256": digest,
        "facts": facts,
        "weights": model.weights,
        "checks": checks,
    });
    let lines = checks.iter().map(|check| {
        let result = if check.passed { "ok" } else { "FAILED" };
        format!("{:13} {result:6} {}", check.check, check.detail)
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    options.output.output.print_figures(&value, text)?;
    let failed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
    match failed.as_slice() {
        [] => Ok(()),
        failed => {
            let names: Vec<_> = failed.iter().map(|check| check.check).collect();
            bail!(
                "{} cannot serve as {}: {}",
                located.path.display(),
                entry.id,
                names.join(", ")
            )
        }
    }
}

/// Compares the digest with the chain's registry, or else with the catalog if it has one.
async fn digest_check(entry: &Entry, digest: &str, node: Option<&str>) -> Result<Check> {
    let expected = match node {
        Some(node) => {
            let registered = found(Client::new(node)?.model(&entry.id).await)?;
            let Some(registered) = registered else {
                let detail = format!("{digest}; the chain has no model of this id");
                return Ok(Check::new("digest", false, detail));
            };
            Some(registered.weights_sha256)
        }
        None => entry.pinned().map(str::to_owned),
    };
    Ok(match expected {
        Some(expected) => Check::equal("digest", &digest, &expected.as_str()),
        None => Check::new(
            "digest",
            true,
            format!("{digest}, not pinned: give --node to compare"),
        ),
    })
}

/// Total memory of this machine in bytes.
fn installed_memory() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    system.total_memory()
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
