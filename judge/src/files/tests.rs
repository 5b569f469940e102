use super::*;

const WEIGHTS: &[u8] = b"no model";
const TOKENIZER: &[u8] = b"{}";

fn sha256(bytes: &[u8]) -> String {
    digest::of_bytes(bytes)
}

fn model() -> EvaluatorModel {
    EvaluatorModel {
        id: "judge".into(),
        kind: EvaluatorKind::CrossEncoder.into(),
        weights_sha256: sha256(WEIGHTS),
        tokenizer_sha256: sha256(TOKENIZER),
        max_tokens: 512,
        ..EvaluatorModel::default()
    }
}

fn refused(judge: &Judge, model: &EvaluatorModel) -> String {
    match judge.load(model) {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_missing_file_is_named_with_its_digest_and_where_to_put_it() {
    let folder = tempfile::tempdir().unwrap();
    let judge = Judge::new(folder.path().join("absent"));
    let error = refused(&judge, &model());
    for part in [
        "weights",
        "judge",
        &sha256(WEIGHTS),
        "judge/model.onnx",
        "--evaluator-models",
    ] {
        assert!(error.contains(part), "{error}");
    }
    // The file may have any name and may be added later.
    let judge = Judge::new(folder.path());
    refused(&judge, &model());
    let weights = folder.path().join("any.onnx");
    fs::write(&weights, WEIGHTS).unwrap();
    let error = refused(&judge, &model());
    assert!(
        error.contains("tokenizer") && error.contains(&sha256(TOKENIZER)),
        "{error}"
    );
    let deeper = folder.path().join("a/b");
    fs::create_dir_all(&deeper).unwrap();
    fs::write(deeper.join("tokenizer.json"), TOKENIZER).unwrap();
    // The digests are right, but the files do not contain a model.
    let error = refused(&judge, &model());
    assert!(
        error.contains("judge") && error.contains("any.onnx"),
        "{error}"
    );
}

#[test]
fn a_damaged_file_is_as_good_as_none() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), b"no modem").unwrap();
    let error = refused(&Judge::new(folder.path()), &model());
    assert!(error.contains(&sha256(WEIGHTS)), "{error}");
}

#[test]
fn a_file_that_changed_since_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("model.onnx");
    fs::write(&weights, WEIGHTS).unwrap();
    let judge = Judge::new(folder.path());
    refused(&judge, &model());
    fs::write(folder.path().join("tokenizer.json"), TOKENIZER).unwrap();
    fs::write(&weights, b"other").unwrap();
    let error = refused(&judge, &model());
    assert!(error.contains(&sha256(b"other")), "{error}");
}

#[test]
fn an_unknown_kind_asks_for_another_version() {
    let unknown = EvaluatorModel { kind: 9, ..model() };
    let folder = tempfile::tempdir().unwrap();
    let judge = Judge::new(folder.path());
    assert!(refused(&judge, &unknown).contains("kind 9"));
    let error = judge.score(&unknown, "", "").unwrap_err();
    assert!(!error.is_of_the_model());
}
