use std::path::Path;

use anyhow::Result;

use crate::transcode::{self, JUDGES, MODELS};
use crate::{cli, registry};

/// Creates canonical models.
pub(super) fn transcode(args: &cli::Transcode) -> Result<()> {
    if let (Some(input), Some(output)) = (&args.input, &args.output) {
        return make(input, args.adapter.as_deref(), output, None);
    }
    for id in MODELS.iter().map(|model| model.id) {
        let folder = registry::folder(id);
        let output = folder.join(registry::WEIGHTS);
        make(&folder.join(registry::INT8), None, &output, Some(id))?;
    }
    for (id, base) in JUDGES {
        let (folder, base) = (registry::folder(id), registry::folder(base));
        let (input, adapter) = (base.join(registry::INT8), folder.join(registry::ADAPTER));
        make(
            &input,
            Some(&adapter),
            &folder.join(registry::WEIGHTS),
            Some(id),
        )?;
    }
    Ok(())
}

fn make(input: &Path, adapter: Option<&Path>, output: &Path, id: Option<&str>) -> Result<()> {
    let canonical = transcode::transcode(input, adapter, output, id)?;
    let (output, sha256) = (output.display(), canonical.sha256);
    match canonical.written {
        None => println!("{output} already exists, SHA-256 {sha256}"),
        Some(bytes) => println!("{output}: {bytes} bytes, SHA-256 {sha256}"),
    }
    Ok(())
}
