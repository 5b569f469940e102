use std::path::Path;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use poq_worker::program::cache;

use crate::transcode::{JUDGES, Judge, MODELS, Outcome};
use crate::{cli, registry};

/// Makes canonical models.
pub fn transcode(args: &cli::Transcode) -> Result<()> {
    if let (Some(input), Some(output)) = (&args.input, &args.output) {
        return match &args.adapter {
            Some(adapter) => transcode_adapted(input, adapter, output),
            None => transcode_file(input, output),
        };
    }
    let models = cache::folder().join("models");
    for folder in MODELS.iter().map(|model| models.join(model.id)) {
        transcode_file(
            &folder.join(registry::INT8),
            &folder.join(registry::WEIGHTS),
        )?;
    }
    JUDGES
        .iter()
        .try_for_each(|judge| transcode_judge(&models, judge))
}

fn transcode_judge(models: &Path, judge: &Judge) -> Result<()> {
    let (folder, base) = (models.join(judge.id), models.join(judge.base));
    let output = folder.join(registry::WEIGHTS);
    let bar = progress("merging")?;
    let outcome = crate::transcode::transcode_judge(
        judge,
        &base.join(registry::INT8),
        &folder.join(registry::ADAPTER),
        &output,
        shown(&bar),
    )?;
    bar.finish_and_clear();
    report(&output, judge.canonical_sha256, &outcome);
    Ok(())
}

fn transcode_file(input: &Path, output: &Path) -> Result<()> {
    let bar = progress("transcoding")?;
    let (model, outcome) = crate::transcode::transcode(input, output, shown(&bar))?;
    bar.finish_and_clear();
    report(output, model.canonical_sha256, &outcome);
    Ok(())
}

fn report(output: &Path, sha256: &str, outcome: &Outcome) {
    let output = output.display();
    match outcome {
        Outcome::Present => println!("{output} is there already, SHA-256 {sha256}"),
        Outcome::Written { products, bytes } => {
            println!("{output}: {products} weight matrices, {bytes} bytes, SHA-256 {sha256}")
        }
    }
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
