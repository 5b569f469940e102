//! Fetching from memory what a walk is going to need, before the walk.
//!
//! Most nodes of a large tree are in no cache of the processor, and a walk that waits for one line of
//! memory after the other does little else. Here the keys go down the tree side by side, one level
//! at a time, so that it waits for the lines of many keys at once.

use std::hint::black_box;

use super::change::Change;
use super::child::WIDTH;
use super::inner::Inner;
use super::memory::Kept;
use super::path::nibble;

/// Changes that are fetched for together: what they need fits into the nearer caches.
pub(super) const TOGETHER: usize = 64;

/// Fetches what stands on the way of `changes` from the node at `depth` down.
pub(super) fn warm(node: &Kept, depth: usize, changes: &[Change]) {
    let mut ways: Vec<_> = changes.iter().map(|change| (&change.key, node)).collect();
    for depth in depth.. {
        ways.retain_mut(|(key, node)| {
            let index = nibble(key, depth);
            look(&node.inner, index);
            node.below(index).map(|below| *node = below).is_some()
        });
        if ways.is_empty() {
            break;
        }
    }
}

/// Looks at all of a node that counts when the child at `index` changes.
fn look(node: &Inner, index: usize) {
    // Results that nobody uses, so nothing waits for one of them.
    black_box(node.child_version(index));
    black_box(node.child_version(index ^ 1));
    for level in 1..WIDTH.ilog2() {
        let first = (1 << level) - 1;
        let beside = (index >> (WIDTH.ilog2() - level)) ^ 1;
        black_box(node.hash_start(first + beside));
    }
}
