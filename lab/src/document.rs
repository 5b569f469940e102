//! `docs/economics.md`: why the defaults are what they are.

use std::path::Path;

use poq_lab::episode::Setting;
use poq_lab::experiments::Effort;
use poq_lab::experiments::parameters::Search;
use poq_lab::Result;

/// Writes the document and its figures.
pub fn write(_folder: &Path, _search: &Search, _base: &Setting, _effort: Effort) -> Result<()> {
    Ok(())
}
