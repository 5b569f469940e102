use std::path::Path;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::transcode::{MODELS, Outcome};
use crate::{cli, config, registry};

/// Makes canonical models.
pub fn transcode(args: &cli::Transcode) -> Result<()> {
    if let (Some(input), Some(output)) = (&args.input, &args.output) {
        return transcode_file(input, output);
    }
    let models = config::cache()?.join("models");
    for folder in MODELS.iter().map(|model| models.join(model.id)) {
        transcode_file(
            &folder.join(registry::INT8),
            &folder.join(registry::WEIGHTS),
        )?;
    }
    Ok(())
}

fn transcode_file(input: &Path, output: &Path) -> Result<()> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} weight matrices")?;
    let bar = ProgressBar::no_length()
        .with_style(style)
        .with_message("transcoding");
    let (model, outcome) = crate::transcode::transcode(input, output, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let (output, sha256) = (output.display(), model.canonical_sha256);
    match outcome {
        Outcome::Present => println!("{output} is there already, SHA-256 {sha256}"),
        Outcome::Written { products, bytes } => {
            println!("{output}: {products} matrix products in f32, {bytes} bytes, SHA-256 {sha256}")
        }
    }
    Ok(())
}
