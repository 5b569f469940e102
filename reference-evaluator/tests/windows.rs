//! What the windows of a pair have.

mod shared;

use poq_reference_evaluator::{Kind, PairTokenizer, Window, Windows};
use shared::Files;
use tokenizers::Tokenizer;

const PROMPT: &str = "one two three four five six seven eight nine";
const ANSWER: &str = "ten eleven twelve thirteen fourteen fifteen";

fn tokenizer(kind: Kind, max_tokens: usize, max_windows: usize) -> PairTokenizer {
    let files = Files::cross_encoder();
    let (path, sha256) = (&files.tokenizer, files.tokenizer_sha256);
    PairTokenizer::open(kind, path, sha256, max_tokens, max_windows).unwrap()
}

fn cross_encoder(max_tokens: usize, max_windows: usize) -> PairTokenizer {
    tokenizer(Kind::CrossEncoder, max_tokens, max_windows)
}

fn texts(windows: &[Window]) -> Vec<String> {
    let tokenizer = Tokenizer::from_file(Files::cross_encoder().tokenizer).unwrap();
    let text = |window: &Window| tokenizer.decode(&window.ids, true).unwrap();
    windows.iter().map(text).collect()
}

fn tokens(windows: &Windows) -> usize {
    let all = windows.prompt.iter().chain(&windows.answer);
    all.map(|window| window.ids.len()).sum()
}

#[test]
fn a_pair_has_the_form_of_bert() {
    let tokenizer = cross_encoder(512, 8);
    let pair = tokenizer.windows("How many people?", "Three million.");
    let window = Window {
        ids: vec![101, 2129, 2116, 2111, 1029, 102, 2093, 2454, 1012, 102],
        first_segment: 6,
    };
    let windows = Windows {
        prompt: None,
        answer: vec![window],
        read: 10,
        truncated: 0,
    };
    assert_eq!(pair.unwrap(), windows);
    let empty = tokenizer.windows("", "").unwrap();
    assert_eq!(empty.answer[0].ids, [101, 102, 102]);
    assert_eq!(empty.answer[0].first_segment, 2);
}

#[test]
fn special_tokens_in_a_text_are_text() {
    let pair = cross_encoder(512, 1).windows("a [SEP]", "[CLS] b [PAD]");
    let special = |id: &&u32| [0, 101, 102].contains(*id);
    assert_eq!(
        pair.unwrap().answer[0].ids.iter().filter(special).count(),
        3
    );
}

#[test]
fn long_texts_keep_the_beginning_of_both() {
    for max_windows in [0, 1] {
        let pair = cross_encoder(13, max_windows)
            .windows(PROMPT, ANSWER)
            .unwrap();
        assert_eq!(
            texts(&pair.answer),
            ["one two three four five ten eleven twelve thirteen fourteen"]
        );
        assert_eq!((tokens(&pair), pair.read, pair.truncated), (13, 13, 5));
    }
}

#[test]
fn a_long_answer_is_read_in_windows_behind_the_same_prompt() {
    let tokenizer = cross_encoder(13, 2);
    let pair = tokenizer.windows(PROMPT, ANSWER).unwrap();
    assert_eq!(
        texts(&pair.answer),
        [
            "one two three four five ten eleven twelve",
            "one two three four five thirteen fourteen fifteen"
        ]
    );
    assert_eq!((tokens(&pair), pair.read, pair.truncated), (22, 14, 4));
    let longer = format!("{ANSWER} {ANSWER}");
    let pair = tokenizer.windows(PROMPT, &longer).unwrap();
    assert_eq!((pair.answer.len(), pair.read, pair.truncated), (2, 18, 6));
}

#[test]
fn a_bi_encoder_reads_the_texts_apart() {
    let tokenizer = tokenizer(Kind::BiEncoder, 13, 2);
    let longer = format!("{ANSWER} {ANSWER}");
    let pair = tokenizer.windows(PROMPT, &longer).unwrap();
    let prompt = pair.prompt.clone().unwrap();
    assert_eq!(texts(&[prompt]), [PROMPT]);
    assert_eq!(texts(&pair.answer), [ANSWER, ANSWER]);
    assert_eq!((pair.read, pair.truncated), (25, 0));
    for window in pair.prompt.iter().chain(&pair.answer) {
        assert_eq!(window.first_segment, window.ids.len());
        assert_eq!(
            (window.ids.first(), window.ids.last()),
            (Some(&101), Some(&102))
        );
    }
    let empty = tokenizer.windows("", "").unwrap();
    assert_eq!((empty.answer.len(), tokens(&empty), empty.read), (1, 4, 4));
    let long = tokenizer.windows(&longer, &longer.repeat(3)).unwrap();
    assert_eq!((long.prompt.unwrap().ids.len(), long.answer.len()), (13, 2));
    assert!(long.truncated > 0);
}
