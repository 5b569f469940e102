//! Which windows are scored together.

/// Splits windows of the given lengths (tokens) into batches, shortest windows first, so that
/// little is padded: no batch is larger than `budget` tokens after padding, except a single window
/// that is longer by itself. Returns the indexes of each batch's windows.
pub fn plan(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|index| lengths[*index]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for index in order {
        // The windows come in ascending order: this one is the longest of its batch.
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * lengths[index] <= budget => batch.push(index),
            _ => batches.push(vec![index]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn like_lengths_share_a_batch() {
        let batches = plan(&[10, 500, 12, 11, 480], 1000);
        assert_eq!(batches, [vec![0, 3, 2], vec![4, 1]]);
    }

    #[test]
    fn a_window_over_the_budget_is_alone() {
        assert_eq!(plan(&[512, 5], 100), [vec![1], vec![0]]);
        assert!(plan(&[], 100).is_empty());
    }

    proptest! {
        #[test]
        fn every_window_is_in_one_batch_within_the_budget(
            lengths in proptest::collection::vec(5_usize..=512, 0..100),
            budget in 1_usize..5000,
        ) {
            let batches = plan(&lengths, budget);
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..lengths.len()));
            for batch in batches {
                let longest = batch.iter().map(|index| lengths[*index]).max().unwrap();
                prop_assert!(batch.len() == 1 || batch.len() * longest <= budget);
            }
        }
    }
}
