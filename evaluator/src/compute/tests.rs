use std::time::Instant;

use poq_proto::v1::EvaluatorModel;
use tokio::sync::oneshot;

use super::*;
use crate::scorer::Engine;
use crate::testing;

/// Largest difference between engine settings, in micro-logits.
const NOISE: i32 = 10;

fn job(model: usize, (prompt, answer): (String, String)) -> (Job, oneshot::Receiver<Outcome>) {
    let (reply, outcome) = oneshot::channel();
    let job = Job {
        model,
        seat: None,
        truncate: true,
        reply,
        prompt,
        answer,
        queued: Instant::now(),
    };
    (job, outcome)
}

/// The scores of pairs that are queued together.
fn scores(jobs: mpsc::Sender<Job>, pairs: Vec<(usize, (String, String))>) -> Vec<i32> {
    let queue = |(model, pair)| {
        let (job, outcome) = job(model, pair);
        jobs.try_send(job).unwrap();
        outcome
    };
    let outcomes: Vec<_> = pairs.into_iter().map(queue).collect();
    let score = |outcome: oneshot::Receiver<Outcome>| outcome.blocking_recv().unwrap().unwrap();
    let scores = outcomes.into_iter().map(score);
    scores.map(|score| score.raw_score).collect()
}

/// Pairs of three models of two kinds share the queue, and windows share batches; one model reads
/// long answers in short windows.
#[test]
fn batches_across_tasks_windows_and_models_give_the_scores_of_single_pairs() {
    let engine = Engine {
        sessions: 2,
        threads: 1,
    };
    let pairs: Vec<(usize, (String, String))> = testing::pairs()
        .into_iter()
        .enumerate()
        .map(|(number, pair)| (number % 3, pair))
        .collect();
    let models = testing::models_on(engine);
    let alone: Vec<i32> = pairs
        .iter()
        .map(|(model, (prompt, answer))| {
            let pair = models[*model].encode(prompt, answer).unwrap();
            models[*model].score(&pair).unwrap().raw_score
        })
        .collect();
    let in_windows = |(model, (prompt, answer)): &&(usize, (String, String))| {
        let pair = models[*model].encode(prompt, answer).unwrap();
        *model < 2 && pair.windows.len() > 1
    };
    assert!(pairs.iter().filter(in_windows).count() >= 3);

    let jobs = start(models, pairs.len(), 300).unwrap();
    let together = scores(jobs, pairs.clone());
    for ((pair, alone), together) in pairs.iter().zip(alone).zip(together) {
        assert!((alone - together).abs() <= NOISE, "{pair:?}");
    }
}

/// A capped pair has no windows, so no batch can complete it.
#[test]
fn what_is_capped_is_scored_beside_the_rest() {
    let entry = EvaluatorModel {
        caps_junk: true,
        ..testing::published()
    };
    let model = testing::open(&[entry]).remove(0);
    let pairs = testing::pairs();
    let answered = model.encode(&pairs[0].0, &pairs[0].1).unwrap();
    let expected = model.score(&answered).unwrap().raw_score;
    let copied = (pairs[0].0.clone(), pairs[0].0.clone());
    let pairs = [copied.clone(), pairs[0].clone(), copied].map(|pair| (0, pair));
    let jobs = start(vec![model], 3, 1024).unwrap();
    let scores = scores(jobs, pairs.to_vec());
    assert_eq!(scores, [i32::MIN, expected, i32::MIN]);
}

#[test]
fn a_pair_that_nobody_waits_for_any_more_is_not_scored() {
    let pairs = testing::pairs();
    let jobs = start(vec![testing::model()], 2, 1024).unwrap();
    let (given_up, outcome) = job(0, pairs[0].clone());
    drop(outcome);
    let (wanted, outcome) = job(0, pairs[1].clone());
    for job in [given_up, wanted] {
        jobs.try_send(job).unwrap();
    }
    outcome.blocking_recv().unwrap().unwrap();
}

/// With one window, or no number of windows in the registry, scores equal those from before windows
/// existed.
#[test]
fn one_window_gives_the_score_of_the_beginning() {
    let scored = |max_windows| {
        let mut entry = testing::published();
        entry.max_windows = max_windows;
        let model = testing::open(&[entry]).remove(0);
        let long = (testing::pairs()[0].0.clone(), "word ".repeat(600));
        let pair = model.encode(&long.0, &long.1).unwrap();
        assert_eq!((pair.windows.len(), pair.tokens()), (1, 512));
        let jobs = start(vec![model], 1, 1024).unwrap();
        scores(jobs, vec![(0, long)])
    };
    assert_eq!(scored(0), scored(1));
}
