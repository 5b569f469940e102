//! The bytes that answers leave in the state for good.

use std::error::Error;

use rocksdb::{DB, IteratorMode};

use super::path::{Kind, Path};
use super::support::Chain;
use super::{KEPT_VERSIONS, Options, RETENTION, chain};

/// Rounds between the measurements.
const ROUNDS: u32 = 2;

/// Bytes of keys and values per answer, once records are compact and old versions are pruned.
///
/// # Errors
/// If a round fails, or the database cannot be read.
pub(crate) fn growth(options: &Options, kind: Kind) -> Result<f64, Box<dyn Error>> {
    let mut chain = chain(options);
    let mut path = Path::new(options, kind);
    path.run(&mut chain)?;
    let before = settled_bytes(&mut chain)?;
    let mut answers = 0;
    for _ in 0..ROUNDS {
        answers += path.run(&mut chain)?.answers;
    }
    let after = settled_bytes(&mut chain)?;
    Ok(after.saturating_sub(before) as f64 / f64::from(answers))
}

fn settled_bytes(chain: &mut Chain) -> Result<u64, Box<dyn Error>> {
    chain.blocks(RETENTION + 2 * KEPT_VERSIONS);
    chain.app.flush()?;
    let (options, folder) = (rocksdb::Options::default(), chain.folder.path());
    let families = DB::list_cf(&options, folder)?;
    let db = DB::open_cf_for_read_only(&options, folder, &families, false)?;
    let mut bytes = 0;
    for family in &families {
        let handle = db
            .cf_handle(family)
            .ok_or_else(|| format!("the database has no {family}"))?;
        for row in db.iterator_cf(handle, IteratorMode::Start) {
            let (key, value) = row?;
            bytes += (key.len() + value.len()) as u64;
        }
    }
    Ok(bytes)
}
