//! Splits items of free messages into batches as large as the chain accepts.

use poq_proto::v1::Params;

/// Bytes of a transaction besides its items: signature, key, fee, lengths.
const TX_OVERHEAD: usize = 1024;
/// Bytes of an item's tag and length within its message.
const ITEM_OVERHEAD: usize = 8;

/// Splits items, in order, by the chain's limits. `bytes` is an item's encoded length; `most` is
/// the batch limit of an item whose last batch mostly failed.
pub fn batches<T>(
    items: Vec<T>,
    params: &Params,
    bytes: impl Fn(&T) -> usize,
    most: impl Fn(&T) -> Option<usize>,
) -> Vec<Vec<T>> {
    let most_items = (params.max_batch_items as usize).max(1);
    let most_bytes = (params.max_tx_bytes as usize).saturating_sub(TX_OVERHEAD);
    let mut batches: Vec<Vec<T>> = Vec::new();
    let (mut length, mut room) = (0, 0);
    for item in items {
        let bytes = bytes(&item) + ITEM_OVERHEAD;
        let most = most(&item).unwrap_or(most_items).clamp(1, most_items);
        match batches.last_mut() {
            Some(batch) if batch.len() < most.min(room) && length + bytes <= most_bytes => {
                length += bytes;
                room = most.min(room);
                batch.push(item);
            }
            _ => {
                (length, room) = (bytes, most);
                batches.push(vec![item]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(max_batch_items: u32, max_tx_bytes: u32) -> Params {
        Params {
            max_batch_items,
            max_tx_bytes,
            ..Params::default()
        }
    }

    /// Sizes of the batches for items of these lengths and limits.
    fn sizes(items: &[(usize, Option<usize>)], params: &Params) -> Vec<usize> {
        let batches = batches(items.to_vec(), params, |item| item.0, |item| item.1);
        batches.iter().map(Vec::len).collect()
    }

    #[test]
    fn batches_respect_items_and_bytes() {
        let plain = |lengths: &[usize]| -> Vec<(usize, Option<usize>)> {
            lengths.iter().map(|length| (*length, None)).collect()
        };
        assert!(sizes(&[], &params(3, 10_000)).is_empty());
        assert_eq!(sizes(&plain(&[1; 7]), &params(3, 10_000)), [3, 3, 1]);
        let long = plain(&[4000, 4000, 4000, 100]);
        assert_eq!(sizes(&long, &params(9, 10_000)), [2, 2]);
        // An item that is too long is refused by the chain, not dropped here.
        assert_eq!(sizes(&plain(&[20_000, 1]), &params(9, 10_000)), [1, 1]);
        // Unset parameters do not stop sending.
        assert_eq!(sizes(&plain(&[1, 1]), &params(0, 0)), [1, 1]);
    }

    #[test]
    fn what_failed_together_travels_in_smaller_batches() {
        let items = [
            (1, Some(2)),
            (1, Some(2)),
            (1, Some(2)),
            (1, None),
            (1, None),
        ];
        assert_eq!(sizes(&items, &params(9, 10_000)), [2, 2, 1]);
        let items = [(1, None), (1, None), (1, Some(1)), (1, None)];
        assert_eq!(sizes(&items, &params(9, 10_000)), [2, 1, 1]);
    }
}
