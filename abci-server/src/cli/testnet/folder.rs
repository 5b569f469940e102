//! The folder in which a network is created. Other files in it stay untouched.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use poq_client::network::{Description, FILE};
use tempfile::TempDir;

/// A network under construction. It appears in its folder once it is complete.
pub(super) struct Draft<'a> {
    target: &'a Path,
    folder: TempDir,
}

impl<'a> Draft<'a> {
    /// Starts a network in `target`; an existing one is only replaced with `overwrite`.
    pub(super) fn new(target: &'a Path, overwrite: bool) -> anyhow::Result<Self> {
        if target.join(FILE).exists() && !overwrite {
            bail!(
                "{} already contains a network; replace it with --overwrite, or choose another \
                 --output-dir",
                target.display()
            );
        }
        fs::create_dir_all(target)
            .with_context(|| format!("cannot create {}", target.display()))?;
        let folder = tempfile::tempdir_in(target)
            .with_context(|| format!("cannot create a folder in {}", target.display()))?;
        Ok(Self { target, folder })
    }

    /// Temporary folder of the network.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves everything to its place, `network.json` last.
    pub(super) fn publish(self, network: &Description) -> anyhow::Result<()> {
        self.remove_old()?;
        let entries: BTreeSet<&str> = network.homes().chain([FILE]).collect();
        for entry in &entries {
            let place = self.target.join(entry);
            if place.exists() {
                bail!(
                    "{} exists and does not belong to a network; move it, or choose another \
                     --output-dir",
                    place.display()
                );
            }
        }
        let homes = entries.into_iter().filter(|entry| *entry != FILE);
        for entry in homes.chain([FILE]) {
            let place = self.target.join(entry);
            fs::rename(self.path().join(entry), &place)
                .with_context(|| format!("cannot create {}", place.display()))?;
        }
        Ok(())
    }

    fn remove_old(&self) -> anyhow::Result<()> {
        let path = self.target.join(FILE);
        if !path.exists() {
            return Ok(());
        }
        let name = path.display();
        let old = Description::read(self.target)
            .with_context(|| format!("{name} does not describe a network; remove it by hand"))?;
        for home in old.homes().collect::<BTreeSet<_>>() {
            // Remove only folders that this program could have created.
            if Path::new(home).components().count() != 1 || home == ".." {
                bail!("{name} names the home `{home}` outside its folder; remove it by hand");
            }
            let path = self.target.join(home);
            if path.exists() {
                fs::remove_dir_all(&path)
                    .with_context(|| format!("cannot replace {}", path.display()))?;
            }
        }
        fs::remove_file(&path).with_context(|| format!("cannot replace {name}"))
    }
}
