//! Chooses the address of ABCI, which has no authentication: anyone who reaches it can fork the state.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::home::Home;
use crate::home::settings::AppSettings;
use crate::transport::{Address, MAX_SOCKET_PATH};

/// The address at which a node serves ABCI.
pub(super) struct AbciAddress {
    address: Address,
    /// Temporary folder of a socket outside the home.
    _folder: Option<TempDir>,
}

impl AbciAddress {
    /// Returns the configured address. The default is a socket in the home for a supervised CometBFT,
    /// and CometBFT's default port for an unsupervised one.
    ///
    /// # Errors
    /// If other machines could reach the address, unless `allow_remote`.
    pub(super) fn choose(
        home: &Home,
        settings: &AppSettings,
        allow_remote: bool,
    ) -> anyhow::Result<Self> {
        if settings.comet.supervise && settings.abci.is_none() {
            return Self::private(home);
        }
        let address = settings.abci_for_others();
        if !allow_remote && address.is_reachable_from_outside() {
            bail!(
                "ABCI has no authentication, and other machines could reach {address}: set `abci` in \
                 app.toml or --abci to a Unix socket or to 127.0.0.1; or allow the address with \
                 --allow-remote-abci if only CometBFT can reach it, for example in a container \
                 network"
            );
        }
        Ok(Self {
            address,
            _folder: None,
        })
    }

    /// A socket that only this user can reach: in the home, or in a temporary folder if the home's
    /// path is too long for a socket.
    fn private(home: &Home) -> anyhow::Result<Self> {
        let in_home = home.abci_socket();
        if in_home.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(Self {
                address: Address::Unix(in_home),
                _folder: None,
            });
        }
        let folder = tempfile::Builder::new()
            .prefix("poqd-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot create a folder for the ABCI socket; set `abci` in app.toml")?;
        let path = folder.path().join("abci.sock");
        tracing::info!(
            "the path of {} is too long for a socket; ABCI is served at {}",
            in_home.display(),
            path.display()
        );
        Ok(Self {
            address: Address::Unix(path),
            _folder: Some(folder),
        })
    }

    /// Returns the address.
    pub(super) fn get(&self) -> &Address {
        &self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(abci: Option<&str>, supervise: bool) -> AppSettings {
        let mut settings = AppSettings {
            abci: abci.map(|address| address.parse().unwrap()),
            ..AppSettings::default()
        };
        settings.comet.supervise = supervise;
        settings
    }

    fn chosen(abci: Option<&str>, supervise: bool) -> String {
        let home = Home::new("/home/poq");
        let chosen = AbciAddress::choose(&home, &settings(abci, supervise), false);
        chosen.unwrap().get().to_string()
    }

    #[test]
    fn a_supervised_cometbft_has_a_socket_in_the_home() {
        assert_eq!(chosen(None, true), "unix:///home/poq/abci.sock");
        assert_eq!(chosen(None, false), "tcp://127.0.0.1:26658");
        for set in ["tcp://127.0.0.1:1", "tcp://[::1]:1", "unix:///tmp/a"] {
            assert_eq!(chosen(Some(set), true), set);
            assert_eq!(chosen(Some(set), false), set);
        }
    }

    #[test]
    fn a_home_with_a_long_path_has_its_socket_in_a_folder_of_its_own() {
        let home = Home::new(format!("/{}", "x".repeat(MAX_SOCKET_PATH)));
        let chosen = AbciAddress::choose(&home, &settings(None, true), false).unwrap();
        let Address::Unix(path) = chosen.get() else {
            panic!("{}", chosen.get());
        };
        let folder = path.parent().unwrap().to_owned();
        let mode = folder.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(chosen);
        assert!(!folder.exists());
    }

    #[test]
    fn other_machines_reach_abci_only_if_that_is_said() {
        let home = Home::new("/home/poq");
        for open in ["tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://192.0.2.1:1"] {
            let settings = settings(Some(open), true);
            let Err(error) = AbciAddress::choose(&home, &settings, false) else {
                panic!("{open}");
            };
            let error = error.to_string();
            assert!(
                error.contains(open) && error.contains("--allow-remote-abci"),
                "{error}"
            );
            AbciAddress::choose(&home, &settings, true).unwrap();
        }
    }
}
