use poq_proto::v1;

use super::*;
use crate::generator::Sampling;

#[test]
fn a_task_becomes_a_request_within_both_limits() {
    let mut task = Task {
        max_answer_bytes: 500,
        seed: 9,
        ..Task::default()
    };
    let recommended = Recommended {
        temperature: 0.2,
        top_p: 0.95,
        repetition_penalty: 1.1,
    };
    let request = |task: &Task, most| request(task, "Hi".into(), most, recommended);
    let asked = request(&task, 256);
    assert_eq!(asked.sampling, recommended.complete(Asked::default(), 9));
    assert_eq!((asked.max_tokens, asked.max_bytes), (256, 500));

    task.sampling = Some(v1::Sampling {
        temperature: Some(700_000),
        top_p: 900_000,
        max_tokens: 32,
        repetition_penalty: 1_500_000,
    });
    let asked = request(&task, 256);
    let expected = Sampling {
        temperature: 0.7,
        top_p: 0.9,
        repetition_penalty: 1.5,
        seed: 9,
    };
    assert_eq!(asked.sampling, expected);
    assert_eq!(asked.max_tokens, 32);
    assert_eq!(request(&task, 16).max_tokens, 16);

    task.sampling = Some(v1::Sampling {
        temperature: Some(0),
        ..v1::Sampling::default()
    });
    let greedy = request(&task, 256).sampling;
    assert_eq!((greedy.temperature, greedy.repetition_penalty), (0.0, 1.1));
}

#[test]
fn nothing_is_kept_that_the_chain_would_refuse_as_too_long() {
    let error = generator::Error::PromptTooLong {
        prompt: 9000,
        context: 8192,
    };
    let kept = |most: u32, said: Said| {
        let task = Task {
            max_answer_bytes: most,
            prompt_sha256: vec![7; 32],
            ..Task::default()
        };
        entry("poq-1", &task, said)
    };
    assert!(kept(1000, apology(&error)).text.contains("9000"));
    assert_eq!(kept(8, apology(&error)).text, "I cannot");
    for text in ["", "é", "😀", "xé"] {
        for most in 0..=8 {
            let said = Said {
                text: text.into(),
                prompt_tokens: 1,
                answer_tokens: 1,
            };
            let answer = kept(most, said);
            assert!(answer.text.len() <= most as usize && text.starts_with(&answer.text));
            let task = Task {
                prompt_sha256: vec![7; 32],
                ..Task::default()
            };
            assert!(answer.is_for("poq-1", &task));
        }
    }
}
