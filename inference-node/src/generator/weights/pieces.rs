//! Derives the merges of a SentencePiece vocabulary, which only has scores.

use std::collections::HashMap;

/// Every way to join two pieces into a third, highest score first, as in Hugging Face's conversion
/// of SentencePiece models.
pub(super) fn merges(tokens: &[&str], scores: &[f32]) -> Vec<[String; 2]> {
    let ids: HashMap<&str, usize> = tokens.iter().enumerate().map(|(id, t)| (*t, id)).collect();
    let mut merges = Vec::new();
    for (token, score) in tokens.iter().zip(scores) {
        let mut pairs: Vec<(usize, usize)> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| {
                let (left, right) = token.split_at(at);
                Some((*ids.get(left)?, *ids.get(right)?))
            })
            .collect();
        pairs.sort_unstable();
        merges.extend(pairs.into_iter().map(|pair| (*score, pair)));
    }
    // Stable: equal scores keep the order of the vocabulary.
    merges.sort_by(|left, right| right.0.total_cmp(&left.0));
    let text = |id: usize| tokens[id].to_owned();
    let pairs = merges.into_iter();
    pairs
        .map(|(_, (left, right))| [text(left), text(right)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::merges;

    #[test]
    fn higher_scores_and_older_pieces_go_first() {
        let tokens = ["a", "b", "c", "bc", "ab", "abc", "é", "éa"];
        let scores = [-4.0, -5.0, -6.0, -1.0, 0.0, -2.0, -7.0, -3.0];
        let expected = [["a", "b"], ["b", "c"], ["a", "bc"], ["ab", "c"], ["é", "a"]];
        assert_eq!(
            merges(&tokens, &scores),
            expected.map(|pair| pair.map(String::from))
        );
    }
}
