use std::time::Instant;

use poq_proto::v1::EvaluatorModel;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::journal::Seat;
use crate::scorer::Engine;
use crate::testing;

/// Largest difference that engine settings may make, in micro-logits.
const NOISE: i32 = 10;

fn job(task: u64, model: usize, (prompt, answer): (String, String)) -> Job {
    let duty = Duty {
        seat: Seat { task, attempt: 2 },
        due_height: 9,
        pair_sha256: task.to_string(),
        committed: None,
        stop: CancellationToken::new(),
    };
    Job {
        model,
        asker: Asker::Duty(duty),
        prompt,
        answer,
        queued: Instant::now(),
    }
}

/// The scores by task, from 0.
fn scores(mut compute: Compute, jobs: Vec<Job>) -> Vec<i32> {
    let mut scores = vec![None; jobs.len()];
    for job in jobs {
        compute.jobs.try_send(job).unwrap();
    }
    drop(compute.jobs);
    while let Some(finished) = compute.finished.blocking_recv() {
        let Duty {
            seat, pair_sha256, ..
        } = finished.duty;
        assert_eq!(pair_sha256, seat.task.to_string());
        let before = scores[seat.task as usize].replace(finished.raw_score.unwrap());
        assert_eq!(before, None);
    }
    scores.into_iter().map(Option::unwrap).collect()
}

/// Pairs of three models of two kinds, one of which reads long answers in short windows, share the
/// queue, and windows share batches with others.
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

    let compute = Compute::start(models, pairs.len(), 300).unwrap();
    let jobs = (0..).zip(pairs.clone());
    let jobs = jobs.map(|(task, (model, pair))| job(task, model, pair));
    let together = scores(compute, jobs.collect());
    for ((pair, alone), together) in pairs.iter().zip(alone).zip(together) {
        assert!((alone - together).abs() <= NOISE, "{pair:?}");
    }
}

/// A capped pair has no windows that a batch could bring back.
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
    let jobs = [copied.clone(), pairs[0].clone(), copied];
    let jobs = (0..).zip(jobs).map(|(task, pair)| job(task, 0, pair));
    let compute = Compute::start(vec![model], 3, 1024).unwrap();
    assert_eq!(
        scores(compute, jobs.collect()),
        [i32::MIN, expected, i32::MIN]
    );
}

#[test]
fn a_pair_that_nobody_waits_for_any_more_is_not_scored() {
    let pairs = testing::pairs();
    let dropped = job(0, 0, pairs[0].clone());
    if let Asker::Duty(duty) = &dropped.asker {
        duty.stop.cancel();
    }
    let mut compute = Compute::start(vec![testing::model()], 2, 1024).unwrap();
    for job in [dropped, job(1, 0, pairs[1].clone())] {
        compute.jobs.try_send(job).unwrap();
    }
    drop(compute.jobs);
    let finished = std::iter::from_fn(|| compute.finished.blocking_recv());
    let tasks: Vec<u64> = finished.map(|finished| finished.duty.seat.task).collect();
    assert_eq!(tasks, [1]);
}

/// With one window, or none in the registry, a score is what it was before there were windows.
#[test]
fn one_window_gives_the_score_of_the_beginning() {
    let scored = |max_windows| {
        let mut entry = testing::published();
        entry.max_windows = max_windows;
        let model = testing::open(&[entry]).remove(0);
        let long = (testing::pairs()[0].0.clone(), "word ".repeat(600));
        let pair = model.encode(&long.0, &long.1).unwrap();
        assert_eq!((pair.windows.len(), pair.tokens()), (1, 512));
        let compute = Compute::start(vec![model], 1, 1024).unwrap();
        scores(compute, vec![job(0, 0, long)])
    };
    assert_eq!(scored(0), scored(1));
}
