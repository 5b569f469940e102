use std::sync::atomic::{AtomicUsize, Ordering};

use poq_proto::v1::EvaluatorModel;

use super::*;

/// Does what the answer says, and counts the calls.
#[derive(Default)]
struct Scripted(AtomicUsize);

impl ReferenceScorer for Scripted {
    fn score(
        &self,
        _: &EvaluatorModel,
        _: &str,
        answer: &str,
    ) -> std::result::Result<i32, ScoreError> {
        let before = self.0.fetch_add(1, Ordering::SeqCst);
        match answer {
            "panic" => panic!("as the test wants"),
            "no score" => Err(ScoreError::NoScore("empty".into())),
            "file is missing" => Err(ScoreError::Unavailable(answer.into())),
            "fails once" if before == 0 => Err(ScoreError::Unavailable(answer.into())),
            answer => Ok(answer.len() as i32),
        }
    }
}

fn auditor() -> (Arc<Scripted>, Auditor) {
    let scorer = Arc::new(Scripted::default());
    (Arc::clone(&scorer), Auditor::new(scorer).unwrap())
}

fn case(due_height: u64, task: u64, answer: &str) -> Case {
    let model = EvaluatorModel {
        id: "model".into(),
        ..EvaluatorModel::default()
    };
    Case {
        due_height,
        task,
        prompt: String::new(),
        answer: answer.into(),
        models: BTreeMap::from([(model.id.clone(), model)]),
    }
}

fn score_of(scores: &BTreeMap<u64, Scores>, task: u64) -> Option<i32> {
    scores[&task]["model"]
}

#[test]
fn scores_are_there_whether_they_were_begun_or_not() {
    let (scorer, auditor) = auditor();
    assert_eq!(auditor.follow(&[(5, 1), (5, 2)]), [(5, 1), (5, 2)]);
    auditor.begin([case(5, 1, "a"), case(5, 2, "no score")]);
    let cases = [case(5, 1, "a"), case(5, 2, "no score"), case(6, 3, "abc")];
    let scores = auditor.scores(&cases).unwrap();
    assert_eq!(score_of(&scores, 1), Some(1));
    assert_eq!(score_of(&scores, 2), None);
    assert_eq!(score_of(&scores, 3), Some(3));
    // Each score is computed once, however often it is requested.
    assert_eq!(auditor.scores(&cases).unwrap(), scores);
    assert_eq!(scorer.0.load(Ordering::SeqCst), 3);
    assert!(auditor.scores(&[]).unwrap().is_empty());
}

#[test]
fn what_is_no_longer_scheduled_is_forgotten() {
    let (scorer, auditor) = auditor();
    auditor.scores(&[case(5, 1, "a"), case(6, 2, "b")]).unwrap();
    assert_eq!(auditor.follow(&[(6, 2), (7, 3)]), [(7, 3)]);
    auditor.scores(&[case(5, 1, "a"), case(6, 2, "b")]).unwrap();
    assert_eq!(scorer.0.load(Ordering::SeqCst), 3);
}

#[test]
fn a_node_that_cannot_compute_a_score_says_which_and_tries_again() {
    let (_, auditor) = auditor();
    let error = auditor
        .scores(&[case(5, 9, "file is missing")])
        .unwrap_err();
    assert!(matches!(error, Error::Audit { task: 9, .. }), "{error}");
    assert!(error.to_string().contains("file is missing"), "{error}");
    let (_, auditor) = super::tests::auditor();
    auditor.scores(&[case(5, 9, "fails once")]).unwrap_err();
    let scores = auditor.scores(&[case(5, 9, "fails once")]).unwrap();
    assert_eq!(score_of(&scores, 9), Some(10));
}

/// Every node has the same panic, and all must get past it.
#[test]
fn a_panic_is_a_result() {
    let (_, auditor) = auditor();
    let scores = auditor.scores(&[case(5, 1, "panic"), case(5, 2, "a")]);
    let scores = scores.unwrap();
    assert_eq!(
        (score_of(&scores, 1), score_of(&scores, 2)),
        (None, Some(1))
    );
}

#[test]
fn threads_end_with_their_auditor() {
    let (scorer, auditor) = auditor();
    auditor.begin((0..10).map(|task| case(1, task, "a")));
    drop(auditor);
    assert_eq!(Arc::strong_count(&scorer), 1);
}
