use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use crate::home::Home;

/// The release series whose ABCI this server implements.
pub(crate) const SERIES: &str = "0.38";
/// The release that the project is tested with.
pub(super) const TESTED: &str = "0.38.26";
const PROGRAM: &str = "cometbft";

/// A `cometbft` program of the right version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    path: PathBuf,
    version: String,
}

impl Binary {
    /// The program at `explicit`, else the one in `$PATH`, else the one in the cache's `bin`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Version`], [`Error::Run`], [`Error::Command`].
    pub(crate) fn find(explicit: Option<&Path>) -> Result<Self, Error> {
        let path = match explicit {
            Some(path) if is_program(path) => path.to_owned(),
            Some(path) => {
                return Err(Error::NotFound {
                    searched: format!("{} is not a program", path.display()),
                });
            }
            None => search(
                std::env::var_os("PATH").as_deref(),
                &poq_client::cache().join("bin"),
            )?,
        };
        let mut binary = Self {
            path,
            version: String::new(),
        };
        binary.version = binary.run(["version"])?;
        if binary
            .version
            .strip_prefix(SERIES)
            .is_some_and(|patch| patch.starts_with('.'))
        {
            Ok(binary)
        } else {
            Err(Error::Version {
                path: binary.path,
                version: binary.version,
            })
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, for example `0.38.26`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Creates the missing files of `home`: keys, config.toml and genesis.json.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Command`].
    pub(crate) fn init(&self, home: &Home) -> Result<(), Error> {
        self.run([
            OsStr::new("init"),
            OsStr::new("--home"),
            home.path().as_os_str(),
        ])
        .map(drop)
    }

    /// The peer-to-peer id of `home`, 40 hex digits.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Command`].
    pub(crate) fn node_id(&self, home: &Home) -> Result<String, Error> {
        let arguments = ["show-node-id", "--home"].map(OsStr::new);
        self.run([arguments[0], arguments[1], home.path().as_os_str()])
    }

    fn run<S: AsRef<OsStr>, const N: usize>(&self, arguments: [S; N]) -> Result<String, Error> {
        let output = Command::new(&self.path)
            .args(&arguments)
            .output()
            .map_err(|source| Error::Run {
                path: self.path.clone(),
                source,
            })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let command: Vec<_> = arguments
            .iter()
            .map(|word| word.as_ref().to_string_lossy())
            .collect();
        Err(Error::Command {
            path: self.path.clone(),
            command: command.join(" "),
            status: output.status,
            output: format!("{} {}", text(&output.stdout), text(&output.stderr)),
        })
    }
}

fn search(path: Option<&OsStr>, cache: &Path) -> Result<PathBuf, Error> {
    let in_path = path
        .into_iter()
        .flat_map(std::env::split_paths)
        .chain([cache.to_owned()]);
    let mut candidates = in_path.map(|folder| folder.join(PROGRAM));
    candidates
        .find(|candidate| is_program(candidate))
        .ok_or_else(|| Error::NotFound {
            searched: format!("it is neither in $PATH nor in {}", cache.display()),
        })
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join(PROGRAM);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_path_goes_before_the_cache() {
        let (first, second, cache) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let path = std::env::join_paths([first.path(), second.path()]).unwrap();
        let error = search(Some(&path), cache.path()).unwrap_err().to_string();
        assert!(error.contains("go install"), "{error}");
        assert!(
            error.contains(&cache.path().display().to_string()),
            "{error}"
        );
        let cached = program(cache.path(), "");
        assert_eq!(search(Some(&path), cache.path()).unwrap(), cached);
        // A file that is not executable is skipped.
        std::fs::write(first.path().join(PROGRAM), "").unwrap();
        let found = program(second.path(), "");
        assert_eq!(search(Some(&path), cache.path()).unwrap(), found);
    }

    #[test]
    fn other_versions_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["1.0.1", "0.37.4", "0.380.1"] {
            let path = program(folder.path(), &format!("#!/bin/sh\necho {version}\n"));
            let error = Binary::find(Some(&path)).unwrap_err().to_string();
            assert!(error.contains(&format!("is CometBFT {version}")), "{error}");
        }
        let path = program(folder.path(), "#!/bin/sh\necho 0.38.17\n");
        assert_eq!(Binary::find(Some(&path)).unwrap().version(), "0.38.17");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), "#!/bin/sh\necho broken >&2\nexit 3\n");
        let error = Binary::find(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains("3"), "{error}");
        let error = Binary::find(Some(Path::new("/nonexistent")))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent is not a program"), "{error}");
    }
}
