//! Damaged and wrong files are refused with an error and never cause a panic.

mod shared;

use std::path::Path;

use poq_reference_evaluator::{Error, Evaluator, Kind, Model, Scratch, Source, Window};
use sha2::{Digest, Sha256};
use shared::Files;

/// Opens `content` as a model with the digest of the content.
fn open(folder: &Path, content: &[u8]) -> Result<Model, Error> {
    let path = folder.join("model.onnx");
    std::fs::write(&path, content).unwrap();
    let sha256 = hex::encode(Sha256::digest(content));
    Model::open(Kind::CrossEncoder, &path, &sha256)
}

fn reason(result: Result<Model, Error>) -> String {
    let error = result.err().unwrap();
    assert!(matches!(error, Error::Model { .. }), "{error}");
    error.to_string()
}

#[test]
fn another_digest_is_refused() {
    let files = Files::cross_encoder();
    let zeros = "0".repeat(64);
    let source = Source {
        weights_sha256: &zeros,
        ..files.source()
    };
    let error = Evaluator::open(&source).err().unwrap();
    assert!(matches!(error, Error::Sha256 { .. }), "{error}");
    let source = Source {
        tokenizer_sha256: &zeros,
        ..files.source()
    };
    let error = Evaluator::open(&source).err().unwrap();
    assert!(error.to_string().contains("run `make setup`"), "{error}");
    let source = Source {
        weights: Path::new("/nowhere/model.onnx"),
        ..files.source()
    };
    let error = Evaluator::open(&source).err().unwrap();
    assert!(error.to_string().contains("/nowhere/model.onnx"), "{error}");
}

#[test]
fn a_model_of_the_other_kind_is_refused() {
    for (files, kind) in [
        (Files::cross_encoder(), Kind::BiEncoder),
        (Files::bi_encoder(), Kind::CrossEncoder),
    ] {
        let error = Model::open(kind, &files.weights, files.weights_sha256);
        assert!(matches!(error.err().unwrap(), Error::Kind { .. }));
    }
}

#[test]
fn limits_that_do_not_fit_the_model_are_refused() {
    let files = Files::cross_encoder();
    for (max_tokens, expected) in [(513, "513 tokens"), (4, "no room"), (0, "no room")] {
        let source = Source {
            max_tokens,
            ..files.source()
        };
        let error = Evaluator::open(&source).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn windows_that_do_not_fit_the_model_are_refused() {
    let evaluator = Files::cross_encoder().open();
    let mut scratch = Scratch::default();
    let mut logit = |ids: Vec<u32>| {
        let window = Window {
            ids,
            first_segment: 1,
        };
        evaluator.model().logit(&window, &mut scratch)
    };
    assert!(matches!(
        logit(vec![]),
        Err(Error::Window { tokens: 0, .. })
    ));
    assert!(matches!(logit(vec![1; 513]), Err(Error::Window { .. })));
    assert!(matches!(logit(vec![u32::MAX]), Err(Error::Token { .. })));
    assert!(logit(vec![101]).is_ok());
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(Files::cross_encoder().weights).unwrap();
    assert!(open(folder.path(), &good).is_ok());
    assert!(reason(open(folder.path(), &[])).contains("single output"));
    assert!(reason(open(folder.path(), b"no ONNX")).contains("not an ONNX file"));
    let half = reason(open(folder.path(), &good[..good.len() / 2]));
    assert!(half.contains("not an ONNX file"), "{half}");

    let place = |name: &[u8]| good.windows(name.len()).position(|bytes| bytes == name);
    let erf = place(b"Erf").unwrap();
    let mut other = good.clone();
    other[erf..erf + 3].copy_from_slice(b"Abs");
    assert!(reason(open(folder.path(), &other)).contains("is not Erf"));

    let half = 0.5_f32.to_le_bytes();
    let constants = place(b"intermediate_act_fn/Constant_2_output_0").unwrap();
    let half = constants
        + good[constants..]
            .windows(4)
            .position(|bytes| bytes == half)
            .unwrap();
    let mut other = good.clone();
    other[half..half + 4].copy_from_slice(&0.25_f32.to_le_bytes());
    assert!(reason(open(folder.path(), &other)).contains("one half"));

    // Within the weights of a dense layer, wherever a number begins.
    let middle = good.len() / 2;
    let mut other = good;
    other[middle..middle + 64].fill(0xFF);
    let reason = reason(open(folder.path(), &other));
    assert!(reason.contains("finite numbers"), "{reason}");
}

#[test]
fn no_damage_panics() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(Files::cross_encoder().weights).unwrap();
    let window = Window {
        ids: vec![101, 2129, 102, 2093, 102],
        first_segment: 3,
    };
    let mut place = 1_usize;
    for _ in 0..24 {
        // The nodes of the graph are in the first 200,000 bytes.
        let mut other = good.clone();
        for _ in 0..4 {
            place = (place * 48_271) % 0x7FFF_FFFF;
            other[place % 200_000] ^= 1 << (place % 8);
        }
        if let Ok(model) = open(folder.path(), &other) {
            // Damage in a name changes nothing.
            model.logit(&window, &mut Scratch::default()).unwrap();
        }
    }
}
