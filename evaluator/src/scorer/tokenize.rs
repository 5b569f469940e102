//! From a pair of texts to the token ids that the model reads.

use std::path::Path;

use poq_proto::v1::EvaluatorModel;
use poq_reference_evaluator::{Junk, junk};
use tokenizers::Tokenizer;

use super::windows::Cut;
use super::{Error, Kind};
use crate::digest;

/// `[CLS]` prompt `[SEP]` answer `[SEP]`.
const OF_PAIR: usize = 3;
/// `[CLS]` text `[SEP]`.
const OF_TEXT: usize = 2;

/// What the model reads at once, as token ids without padding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// With the special tokens; at most the tokenizer's `max_tokens`.
    pub ids: Vec<u32>,
    /// How many of them are of the first segment, `[CLS]` prompt `[SEP]`.
    pub first_segment: usize,
}

/// A pair of texts as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Why the pair is capped: it has the least score and nothing of it is read.
    pub junk: Option<Junk>,
    /// In the order of the answer, at least one unless the pair is capped; a bi-encoder's begin with
    /// that of the prompt.
    pub windows: Vec<Window>,
    /// In how many of them the answer is read.
    pub answer_windows: usize,
    /// Tokens of the two texts that are read, and the special ones of a pair with one window.
    pub read: usize,
    /// Tokens of the two texts that were cut off.
    pub truncated: usize,
}

impl Encoded {
    fn capped(junk: Junk) -> Self {
        Self {
            junk: Some(junk),
            windows: Vec::new(),
            answer_windows: 0,
            read: 0,
            truncated: 0,
        }
    }

    /// Tokens of all windows with the special ones; a cross-encoder's have the prompt in each.
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(|window| window.ids.len()).sum()
    }
}

/// Encodes pairs by the rule that every implementation of an evaluator model must follow. All
/// numbers are integers, `/` drops the rest, and `max_windows` is that of the registry, or 1 for 0:
///
/// 1. Each text is tokenized by itself, by `tokenizer.json` without its truncation and padding.
///    Text that looks like a special token (`[SEP]`) is ordinary text, so that an answer cannot
///    end itself and begin a second one.
/// 2. `L = max_tokens − 3`, and a window has at most `m = max(L − |prompt|, ⌈L/2⌉)` tokens of the
///    answer: each text has half of the room, and what the prompt does not need goes to the
///    answer. The prompt keeps its first `p = min(|prompt|, L − min(|answer|, m))` tokens.
/// 3. There are `n = max(1, min(⌈|answer|/m⌉, max_windows))` windows. The answer keeps its first
///    `a = min(|answer|, n·m)` tokens; window `i` of `0..n` has those from `i·a/n` up to
///    `(i + 1)·a/n`, so that windows differ by one token at most. What is beyond is not read.
/// 4. The ids of each window are `[CLS]` prompt `[SEP]` answer `[SEP]`; token type 0 up to the
///    first `[SEP]`, 1 after it.
///
/// With one window this is a single pair, cut off where it is too long.
///
/// A bi-encoder reads the texts apart: rule 1 is the same, then `L = max_tokens − 2`. The prompt keeps
/// its first `p = min(|prompt|, L)` tokens. The answer has `n = max(1, min(⌈|answer|/L⌉, max_windows))`
/// windows, keeps its first `a = min(|answer|, n·L)` tokens, and is cut as in rule 3. The ids of
/// the prompt and of each window are `[CLS]` text `[SEP]`, with token type 0.
///
/// The raw score of the pair is [`super::mean`] of the answer's windows' raw scores.
///
/// Where the registry says `caps_junk`, a pair whose answer is [`junk`] has no windows, and the least
/// raw score.
pub struct PairTokenizer {
    tokenizer: Tokenizer,
    kind: Kind,
    cls: u32,
    sep: u32,
    max_tokens: usize,
    max_windows: usize,
    caps_junk: bool,
}

impl PairTokenizer {
    /// Reads the `tokenizer.json` of a registry entry. The entry says all that encoding depends on.
    pub fn open(path: &Path, registered: &EvaluatorModel) -> Result<Self, Error> {
        let kind = Kind::of(registered)?;
        let max_tokens = registered.max_tokens as usize;
        let content = digest::read(path)?;
        digest::check(
            path,
            &digest::of_bytes(&content),
            &registered.tokenizer_sha256,
            "the registry",
        )?;
        let unusable = |reason: String| Error::Tokenizer {
            path: path.to_owned(),
            reason,
        };
        if max_tokens <= OF_PAIR + 1 {
            return Err(unusable(format!(
                "{max_tokens} tokens leave no room for two texts"
            )));
        }
        let mut tokenizer =
            Tokenizer::from_bytes(&content).map_err(|error| unusable(error.to_string()))?;
        tokenizer
            .with_truncation(None)
            .map_err(|error| unusable(error.to_string()))?;
        tokenizer.with_padding(None);
        tokenizer.set_encode_special_tokens(true);
        let special = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| unusable(format!("the vocabulary has no {token}")))
        };
        Ok(Self {
            kind,
            cls: special("[CLS]")?,
            sep: special("[SEP]")?,
            tokenizer,
            max_tokens,
            max_windows: registered.max_windows.max(1) as usize,
            caps_junk: registered.caps_junk,
        })
    }

    /// The ids of a pair; none if the model caps it.
    pub fn encode(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        if self.caps_junk
            && let Some(junk) = junk(prompt, answer)
        {
            return Ok(Encoded::capped(junk));
        }
        self.encode_uncapped(prompt, answer)
    }

    /// The ids of a pair, of junk too.
    pub fn encode_uncapped(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        let prompt = self.ids(prompt)?;
        let answer = self.ids(answer)?;
        Ok(match self.kind {
            Kind::CrossEncoder => self.together(&prompt, &answer),
            Kind::BiEncoder => self.apart(&prompt, &answer),
        })
    }

    fn together(&self, prompt: &[u32], answer: &[u32]) -> Encoded {
        let room = self.max_tokens - OF_PAIR;
        let cut = Cut::together(room, self.max_windows, prompt.len(), answer.len());
        let kept = &prompt[..cut.prompt];
        let windows = cut.ranges().map(|range| self.pair(kept, &answer[range]));
        Encoded {
            junk: None,
            windows: windows.collect(),
            answer_windows: cut.windows,
            read: cut.prompt + cut.answer + OF_PAIR,
            truncated: prompt.len() - cut.prompt + answer.len() - cut.answer,
        }
    }

    fn apart(&self, prompt: &[u32], answer: &[u32]) -> Encoded {
        let room = self.max_tokens - OF_TEXT;
        let cut = Cut::apart(room, self.max_windows, prompt.len(), answer.len());
        let mut windows = vec![self.text(&prompt[..cut.prompt])];
        windows.extend(cut.ranges().map(|range| self.text(&answer[range])));
        Encoded {
            junk: None,
            windows,
            answer_windows: cut.windows,
            read: cut.prompt + cut.answer + 2 * OF_TEXT,
            truncated: prompt.len() - cut.prompt + answer.len() - cut.answer,
        }
    }

    fn pair(&self, prompt: &[u32], answer: &[u32]) -> Window {
        let mut window = self.text(prompt);
        window.ids.extend(answer);
        window.ids.push(self.sep);
        window
    }

    /// All in the first segment.
    fn text(&self, text: &[u32]) -> Window {
        let ids = [&[self.cls], text, &[self.sep]].concat();
        let first_segment = ids.len();
        Window { ids, first_segment }
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.tokenizer
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| Error::Text {
                bytes: text.len(),
                reason: error.to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;
    use crate::testing::{model_file, published};

    fn tokenizer(max_tokens: u32, max_windows: u32) -> PairTokenizer {
        let path = model_file(crate::transcode::MODELS[0].id, registry::TOKENIZER);
        let entry = EvaluatorModel {
            max_tokens,
            max_windows,
            ..published()
        };
        PairTokenizer::open(&path, &entry).unwrap()
    }

    fn texts(tokenizer: &PairTokenizer, pair: &Encoded) -> Vec<String> {
        let text = |window: &Window| tokenizer.tokenizer.decode(&window.ids, true).unwrap();
        pair.windows.iter().map(text).collect()
    }

    #[test]
    fn a_pair_has_the_form_of_bert() {
        let pair = tokenizer(512, 8)
            .encode("How many people?", "Three million.")
            .unwrap();
        let window = Window {
            ids: vec![101, 2129, 2116, 2111, 1029, 102, 2093, 2454, 1012, 102],
            first_segment: 6,
        };
        assert_eq!(pair.windows, [window]);
        assert_eq!((pair.read, pair.truncated), (10, 0));
    }

    #[test]
    fn special_tokens_in_a_text_are_text() {
        let pair = tokenizer(512, 1)
            .encode("a [SEP]", "[CLS] b [PAD]")
            .unwrap();
        let special = pair.windows[0]
            .ids
            .iter()
            .filter(|id| [0, 101, 102].contains(*id));
        assert_eq!(special.count(), 3);
    }

    #[test]
    fn empty_texts_are_pairs_too() {
        let pair = tokenizer(512, 8).encode("", "").unwrap();
        let window = Window {
            ids: vec![101, 102, 102],
            first_segment: 2,
        };
        assert_eq!(pair.windows, [window]);
    }

    const PROMPT: &str = "one two three four five six seven eight nine";
    const ANSWER: &str = "ten eleven twelve thirteen fourteen fifteen";

    #[test]
    fn long_texts_keep_the_beginning_of_both() {
        for max_windows in [0, 1] {
            let tokenizer = tokenizer(13, max_windows);
            let pair = tokenizer.encode(PROMPT, ANSWER).unwrap();
            assert_eq!(
                texts(&tokenizer, &pair),
                ["one two three four five ten eleven twelve thirteen fourteen"]
            );
            assert_eq!((pair.tokens(), pair.read, pair.truncated), (13, 13, 5));
        }
    }

    #[test]
    fn a_long_answer_is_read_in_windows_behind_the_same_prompt() {
        let tokenizer = tokenizer(13, 2);
        let pair = tokenizer.encode(PROMPT, ANSWER).unwrap();
        assert_eq!(
            texts(&tokenizer, &pair),
            [
                "one two three four five ten eleven twelve",
                "one two three four five thirteen fourteen fifteen"
            ]
        );
        assert_eq!((pair.tokens(), pair.read, pair.truncated), (22, 14, 4));
        let longer = format!("{ANSWER} {ANSWER}");
        let pair = tokenizer.encode(PROMPT, &longer).unwrap();
        assert_eq!((pair.windows.len(), pair.read, pair.truncated), (2, 18, 6));
    }

    #[test]
    fn a_bi_encoder_reads_the_texts_apart() {
        let mut tokenizer = tokenizer(13, 2);
        tokenizer.kind = Kind::BiEncoder;
        let longer = format!("{ANSWER} {ANSWER}");
        let pair = tokenizer.encode(PROMPT, &longer).unwrap();
        assert_eq!(
            texts(&tokenizer, &pair),
            [
                PROMPT,
                "ten eleven twelve thirteen fourteen fifteen",
                "ten eleven twelve thirteen fourteen fifteen"
            ]
        );
        assert_eq!((pair.answer_windows, pair.read, pair.truncated), (2, 25, 0));
        assert!(pair.windows.iter().all(|window| {
            window.first_segment == window.ids.len()
                && window.ids.first() == Some(&101)
                && window.ids.last() == Some(&102)
        }));
        let empty = tokenizer.encode("", "").unwrap();
        assert_eq!((empty.windows.len(), empty.tokens()), (2, 4));
        let long = tokenizer.encode(&longer, &longer.repeat(3)).unwrap();
        assert_eq!((long.windows[0].ids.len(), long.windows.len()), (13, 3));
        assert!(long.truncated > 0);
    }

    #[test]
    fn junk_is_not_read_where_the_registry_says_so() {
        let mut tokenizer = tokenizer(512, 8);
        let read = tokenizer.encode(PROMPT, PROMPT).unwrap();
        assert_eq!((read.junk, read.windows.len()), (None, 1));
        tokenizer.caps_junk = true;
        let capped = tokenizer.encode(PROMPT, PROMPT).unwrap();
        assert_eq!(capped, Encoded::capped(Junk::Copy));
        assert_eq!((capped.tokens(), capped.truncated), (0, 0));
        assert_eq!(tokenizer.encode_uncapped(PROMPT, PROMPT).unwrap(), read);
        assert_eq!(tokenizer.encode(PROMPT, ANSWER).unwrap().junk, None);
    }

    #[test]
    fn another_tokenizer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, "{}").unwrap();
        let error = PairTokenizer::open(&path, &published());
        assert!(matches!(error, Err(Error::Digest(_))));
    }
}
