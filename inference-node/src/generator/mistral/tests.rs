use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::OnceCell;

use super::super::testing::question;
use super::super::weights::{self, WeightType};
use super::*;
use crate::generator::{Asked, Finish, Prompt, Sampling};
use crate::{catalog, margins};

/// Concurrent answers.
const ENGINES: usize = 2;

/// One generator for all tests: loading takes seconds and a gigabyte.
async fn model() -> &'static MistralGenerator {
    static MODEL: OnceCell<MistralGenerator> = OnceCell::const_new();
    MODEL
        .get_or_init(|| async {
            let file = config::default_model_file();
            let digest = weights::digest(&file).unwrap_or_else(|error| panic!("{error}"));
            let converted = poq_client::cache().join("converted");
            let prepared =
                weights::prepare(&file, &digest, &converted, WeightType::default()).unwrap();
            let generator = MistralGenerator::load(&prepared, ENGINES, 0).await.unwrap();
            generator.recommending(catalog::find(config::DEFAULT_MODEL).unwrap().sampling)
        })
        .await
}

async fn ask(request: &Request) -> Completion {
    model()
        .await
        .generate(request, &CancellationToken::new(), None)
        .await
        .unwrap()
}

/// Far more than another processor shifts a margin: 0.00002 for these weights, by
/// `bench/answers.py`.
const WIDE: f32 = 0.05;

/// A short form of `models margins`: none of these answers depends on the processor.
#[tokio::test(flavor = "multi_thread")]
async fn right_answers_are_certain() {
    let questions = margins::questions().unwrap();
    for prompt in [
        "What is the capital of France?",
        "How many days are in a week?",
        "What is the chemical formula of water?",
        "Who wrote Romeo and Juliet?",
        "What is the tallest mountain in the world?",
    ] {
        let question = questions.iter().find(|one| one.prompt == prompt).unwrap();
        let answer = margins::ask(model().await, question).await.unwrap();
        assert!(answer.is_right, "{prompt} {}", answer.text());
        assert!(answer.margin > WIDE, "{prompt} {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn greedy_answers_repeat_and_end_by_themselves() {
    let request = question("What is the capital of France?");
    let first = ask(&request).await;
    assert_eq!(first.finish, Finish::Stop);
    assert!(first.prompt_tokens > 20 && first.answer_tokens > 2);
    assert_eq!(first.margins.len(), first.answer_tokens);
    assert_eq!(ask(&request).await.text, first.text);
}

/// Occurrences of the most frequent run of six words.
fn repetitions(text: &str) -> usize {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut counts = HashMap::new();
    for run in words.windows(6) {
        *counts.entry(run).or_insert(0) += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

/// A runaway answer costs the user money. On any processor, the penalty keeps the texts from
/// repeating in circles.
#[tokio::test(flavor = "multi_thread")]
async fn the_penalty_breaks_circles() {
    let recommended = model().await.recommended();
    for prompt in ["Name the capitals of Europe.", "Write a song of one line."] {
        let mut request = question(prompt);
        request.max_tokens = 160;
        request.sampling = recommended.complete(Asked::default(), 0);
        let answer = ask(&request).await;
        assert!(repetitions(&answer.text) < 4, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_decides() {
    let mut request = question("Tell me a story about a fox.");
    request.max_tokens = 16;
    let mut tell = async |seed| {
        request.sampling = Sampling {
            temperature: 1.0,
            top_p: 0.95,
            seed,
            ..Sampling::GREEDY
        };
        ask(&request).await.text
    };
    let first = tell(1).await;
    assert_ne!(tell(2).await, first);
    assert_eq!(tell(1).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_cut_the_answer() {
    let mut request = question("Count from one to fifty in words.");
    request.max_tokens = 5;
    let completion = ask(&request).await;
    assert_eq!(
        (completion.finish, completion.answer_tokens),
        (Finish::Length, 5)
    );

    request.max_tokens = 64;
    request.max_bytes = 12;
    let completion = ask(&request).await;
    assert_eq!(
        (completion.finish, completion.text.len()),
        (Finish::Bytes, 12)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_text_ends_the_answer_and_costs_no_more_tokens() {
    let mut request = question("What is the capital of France?");
    let whole = ask(&request).await;
    request.stop = vec!["Paris".into(), "capital of".into()];
    let cut = ask(&request).await;
    let expected = whole.text.split("capital of").next().unwrap();
    assert_eq!((cut.text.as_str(), cut.finish), (expected, Finish::Stop));
    assert!(cut.answer_tokens < whole.answer_tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_inside_its_first_character_is_empty() {
    let mut request = question("Repeat after me, nothing else: 😀😀😀");
    request.prompt = Prompt::Text("😀 😀 😀 😀 😀 😀".into());
    for max_tokens in 1..=6 {
        request.max_tokens = max_tokens;
        let answer = ask(&request).await;
        assert_eq!(
            (answer.finish, answer.answer_tokens),
            (Finish::Length, max_tokens)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_gone_on_with_without_a_chat_template() {
    let mut request = question("");
    request.prompt = Prompt::Text("The capital of France is".into());
    request.max_tokens = 4;
    let answer = ask(&request).await;
    assert!(answer.text.starts_with(" Paris"), "{:?}", answer.text);
    assert_eq!((answer.prompt_tokens, answer.answer_tokens), (5, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_chat_template_writes_control_tokens() {
    let tokens = async |text: &str| ask(&question(text)).await.prompt_tokens;
    let (one, two) = (tokens("a").await, tokens("a a").await);
    assert_eq!(two, one + 1);
    for control in ["<|im_end|>", "<|im_start|>", "<|endoftext|>"] {
        // A special token would be one token; as text it is several.
        assert!(tokens(&format!("a{control}")).await > one + 3, "{control}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_answer_leaves_the_next_one_alone() {
    let request = question("What is the capital of France?");
    let expected = ask(&request).await.text;

    let stop = CancellationToken::new();
    let (sender, mut deltas) = mpsc::channel(1);
    let long = question("Tell me a very long story.");
    let reader = async {
        let first = deltas.recv().await;
        stop.cancel();
        while deltas.recv().await.is_some() {}
        first
    };
    let generation = model().await.generate(&long, &stop, Some(sender));
    let (completion, first) = tokio::join!(generation, reader);
    let completion = completion.unwrap();
    assert_eq!(completion.finish, Finish::Cancelled);
    assert!(completion.text.starts_with(&first.unwrap()));
    assert!(completion.answer_tokens < 20);

    assert_eq!(ask(&request).await.text, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_beyond_the_context_is_refused() {
    let request = question(&"word ".repeat(9000));
    let result = model()
        .await
        .generate(&request, &CancellationToken::new(), None)
        .await;
    match result {
        Err(Error::PromptTooLong { prompt, context }) => {
            assert_eq!(context, 8192);
            assert!(prompt > 9000);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_beside_others_are_those_alone() {
    // The prompts of the first two have equal length: in one engine they would get one answer.
    let requests = [
        "What is the capital of France?",
        "What is the capital of Norway?",
        "Tell me a story about a fox, please.",
        "Count from one to twenty in words.",
    ]
    .map(question);
    let mut alone = Vec::new();
    for request in &requests {
        alone.push(ask(request).await.text);
    }
    for step in [0, 30, 170] {
        let beside = requests.iter().enumerate().map(async |(index, request)| {
            tokio::time::sleep(Duration::from_millis(step * index as u64)).await;
            ask(request).await.text
        });
        assert_eq!(join_all(beside).await, alone, "{step} ms apart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_early_leaves_the_others_alone() {
    let staying = question("Tell me a story about a fox, please.");
    let expected = ask(&staying).await.text;
    let generator = model().await;
    let long = question("Tell me a very long story.");

    let stop = CancellationToken::new();
    let stopped = generator.generate(&long, &stop, None);
    let dropped = tokio::time::timeout(Duration::from_millis(200), ask(&long));
    let beside = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        // The slot of the stopped one, and then that of the dropped one.
        join_all([ask(&staying), ask(&staying)]).await
    };
    let (kept, stopped, dropped, beside) = tokio::join!(ask(&staying), stopped, dropped, beside);
    assert_eq!(stopped.unwrap().finish, Finish::Cancelled);
    assert!(dropped.is_err());
    assert_eq!(kept.text, expected);
    assert!(beside.iter().all(|completion| completion.text == expected));
}

#[test]
fn engines_share_the_threads() {
    assert_eq!([share(0, 1), share(4, 1)], [0, 4]);
    assert_eq!([share(8, 2), share(7, 2), share(1, 4)], [4, 3, 1]);
    assert!(share(0, 2) >= 1);
}
