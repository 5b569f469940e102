use std::path::Path;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::transcode::{MODELS, Outcome};
use crate::{cli, config, registry};

/// Makes canonical models.
pub fn transcode(args: &cli::Transcode) -> Result<()> {
    if let (Some(input), Some(output)) = (&args.input, &args.output) {
        return match &args.adapter {
            Some(adapter) => transcode_adapted(input, adapter, output),
            None => transcode_file(input, output),
        };
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
    let bar = progress("transcoding")?;
    let (model, outcome) = crate::transcode::transcode(input, output, shown(&bar))?;
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

fn transcode_adapted(input: &Path, adapter: &Path, output: &Path) -> Result<()> {
    let bar = progress("merging")?;
    let (sha256, adapted) =
        crate::transcode::transcode_adapted(input, adapter, output, shown(&bar))?;
    bar.finish_and_clear();
    let (output, layers, bytes) = (output.display(), adapted.layers, adapted.bytes);
    println!("{output}: {layers} layers adapted, {bytes} bytes, SHA-256 {sha256}");
    Ok(())
}

fn progress(message: &'static str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} weight matrices")?;
    Ok(ProgressBar::no_length()
        .with_style(style)
        .with_message(message))
}

fn shown(bar: &ProgressBar) -> impl FnMut(usize, usize) {
    |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    }
}
