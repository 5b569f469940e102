use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli;
use crate::transcode::{CANONICAL_SHA256, Outcome};

/// Makes the canonical model.
pub fn transcode(args: &cli::Transcode) -> Result<()> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} weight matrices")?;
    let bar = ProgressBar::no_length()
        .with_style(style)
        .with_message("transcoding");
    let outcome = crate::transcode::transcode(&args.input, &args.output, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let output = args.output.display();
    match outcome {
        Outcome::Present => println!("{output} is there already, SHA-256 {CANONICAL_SHA256}"),
        Outcome::Written { products, bytes } => println!(
            "{output}: {products} matrix products in f32, {bytes} bytes, SHA-256 {CANONICAL_SHA256}"
        ),
    }
    Ok(())
}
