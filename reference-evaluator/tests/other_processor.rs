//! The same bits on a processor with another instruction set.
//!
//! The model on token ids is built for 64-bit ARM and runs under QEMU, with NEON and with portable code.
//! Its logits must equal this processor's, which `golden.rs` compares with the golden file.

mod shared;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use poq_reference_evaluator::{Evaluator, Window};
use shared::Files;
use shared::pairs;

const TARGET: &str = "aarch64-unknown-linux-musl";
const EMULATOR: &str = "qemu-aarch64";

#[test]
fn arm_gives_the_same_bits() {
    let program = build();
    let files = Files::cross_encoder();
    let evaluator = files.open();
    let windows: Vec<Window> = pairs::few(1)
        .iter()
        .flat_map(|pair| {
            let windows = evaluator.tokenizer().windows(&pair.prompt, &pair.answer);
            windows.unwrap().answer
        })
        .collect();
    assert!(windows.len() >= 6);
    compare(&program, &files, &evaluator, "best", &windows);
    // Portable code is slow, even more so in an emulator.
    compare(&program, &files, &evaluator, "portable", &windows[..1]);
}

/// Builds the program for the other processor, in a folder of its own. The linker comes with Rust.
fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-processor");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--no-default-features"])
        .args(["--package", env!("CARGO_PKG_NAME")])
        .args(["--bin", env!("CARGO_PKG_NAME")])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", "-C linker=rust-lld")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(
        built.success(),
        "cannot build for {TARGET}: run `make setup`"
    );
    folder
        .join(TARGET)
        .join("debug")
        .join(env!("CARGO_PKG_NAME"))
}

fn compare(
    program: &Path,
    files: &Files,
    evaluator: &Evaluator,
    instructions: &str,
    windows: &[Window],
) {
    let mut scratch = poq_reference_evaluator::Scratch::default();
    let expected: String = windows
        .iter()
        .map(|window| evaluator.model().logit(window, &mut scratch).unwrap())
        .map(|logit| format!("{:08x}\n", logit.to_bits()))
        .collect();
    let mut child = Command::new(EMULATOR)
        .arg(program)
        .arg(&files.weights)
        .args([files.weights_sha256, instructions])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{EMULATOR}: {error}: run `make setup`"));
    let mut input = child.stdin.take().unwrap();
    for window in windows {
        let ids: Vec<String> = window.ids.iter().map(u32::to_string).collect();
        writeln!(input, "{} {}", window.first_segment, ids.join(" ")).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
