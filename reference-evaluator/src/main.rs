//! Prints the bits of windows' logits, to compare machines, compiler settings and instruction sets.
//!
//! Each line of standard input is a window of a cross-encoder: the length of its first segment and its
//! token ids, separated by spaces. The program prints the eight hexadecimal digits of each window's
//! logit. It needs only the model, so it builds for any target without a C compiler.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

use poq_reference_evaluator::{Instructions, Kind, Model, Scratch, Window};

const USAGE: &str = "usage: poq-reference-evaluator WEIGHTS SHA256 best|portable < WINDOWS\nWINDOWS: one per line, the length of the first segment and the token ids";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, sha256, instructions] = arguments.as_slice() else {
        return Err(USAGE.to_owned());
    };
    let instructions = match instructions.as_str() {
        "best" => Instructions::best(),
        "portable" => Instructions::Portable,
        _ => return Err(USAGE.to_owned()),
    };
    let model = Model::open(Kind::CrossEncoder, Path::new(weights), sha256)
        .map_err(|error| error.to_string())?
        .with_instructions(instructions);
    let mut scratch = Scratch::default();
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| format!("cannot read windows: {error}"))?;
        let window = window(&line)?;
        let logit = model
            .logit(&window, &mut scratch)
            .map_err(|error| error.to_string())?;
        writeln!(output, "{:08x}", logit.to_bits())
            .map_err(|error| format!("cannot write logits: {error}"))?;
    }
    Ok(())
}

fn window(line: &str) -> Result<Window, String> {
    let numbers: Result<Vec<u32>, _> = line.split_whitespace().map(str::parse).collect();
    match numbers.as_deref() {
        Ok([first_segment, ids @ ..]) => Ok(Window {
            ids: ids.to_vec(),
            first_segment: *first_segment as usize,
        }),
        _ => Err(format!("this line is not a window: {line}\n{USAGE}")),
    }
}
