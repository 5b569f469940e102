use anyhow::Result;
use poq_worker::program::{OutputArg, table};
use serde::Serialize;

use crate::registry;

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    /// The default model.
    model: String,
    weights_sha256: String,
    tokenizer_sha256: String,
    /// Licence of the weights, an SPDX identifier.
    licence: String,
}

/// Prints the program's version and its default model.
pub(super) fn version(args: &OutputArg) -> Result<()> {
    let entry = registry::default_entry()?;
    let version = Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        model: entry.id,
        weights_sha256: entry.weights_sha256,
        tokenizer_sha256: entry.tokenizer_sha256,
        licence: entry.licence,
    };
    let lines = [
        (version.name, version.version.to_owned()),
        ("default model", version.model.clone()),
        ("its weights", format!("SHA-256 {}", version.weights_sha256)),
        (
            "its tokenizer",
            format!("SHA-256 {}", version.tokenizer_sha256),
        ),
        ("its licence", version.licence.clone()),
    ];
    args.output.print(&version, table(&lines))?;
    Ok(())
}
