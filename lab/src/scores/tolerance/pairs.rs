//! The compared pairs.

use std::path::Path;

use crate::error::Result;
use crate::scores::{self, Dataset};

/// A prompt and an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPair {
    /// The prompt.
    pub prompt: String,
    /// The answer.
    pub answer: String,
}

/// Pairs of a file, at most `number`.
pub fn of_file(path: &Path, number: usize) -> Result<Vec<OwnedPair>> {
    let dataset = scores::read(path)?;
    Ok(owned(&dataset).into_iter().take(number).collect())
}

/// `number` pairs from the project's own sample: first unchanged, then prompts with ever more
/// concatenated answers to other prompts, up to several windows.
pub fn built_in(number: usize) -> Result<Vec<OwnedPair>> {
    let mut pairs: Vec<OwnedPair> = scores::sample()?.iter().flat_map(owned).collect();
    let given = pairs.len();
    for place in 0..number.saturating_sub(given) {
        let prompt = pairs[place % given].prompt.clone();
        // Every eighth answer is long.
        let answers = match place % 8 {
            0 => 2 + place / 8 % 60,
            _ => 1,
        };
        let answer = |part: usize| {
            pairs[(place * 7 + part * 13 + place / given) % given]
                .answer
                .as_str()
        };
        let answer: Vec<&str> = (1..=answers).map(answer).collect();
        let answer = answer.join(" ");
        pairs.push(OwnedPair { prompt, answer });
    }
    pairs.truncate(number);
    Ok(pairs)
}

fn owned(dataset: &Dataset) -> Vec<OwnedPair> {
    let owned = |(prompt, answer): (&str, &str)| OwnedPair {
        prompt: prompt.to_owned(),
        answer: answer.to_owned(),
    };
    dataset.pairs().into_iter().map(owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_pairs_are_as_many_as_wanted_short_and_long() {
        let pairs = built_in(2000).unwrap();
        assert_eq!(pairs.len(), 2000);
        assert_eq!(built_in(2000).unwrap(), pairs);
        let mut lengths: Vec<usize> = pairs.iter().map(|pair| pair.answer.len()).collect();
        lengths.sort_unstable();
        assert!(lengths[0] < 20 && lengths[1999] > 2000, "{lengths:?}");
        let mut different = pairs;
        different.sort_by(|a, b| (&a.prompt, &a.answer).cmp(&(&b.prompt, &b.answer)));
        different.dedup();
        assert!(different.len() > 1500, "{}", different.len());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = of_file(Path::new("/nowhere/data.jsonl"), 10).unwrap_err();
        assert!(error.to_string().contains("/nowhere/data.jsonl"));
    }
}
