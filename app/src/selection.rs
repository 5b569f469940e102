//! Verifiable random selection (protocol section 6): a weighted index in the state, from which
//! anyone who knows the beacon can repeat a draw.
//!
//! The index is a tree with 16 children per node and a fixed depth. Each node stores the summed
//! weights of its children, so that changing a weight and drawing touch `DEPTH` values, whatever
//! the number of members.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "positions are below 16^5 and children below 16; a point is below the sum that it is taken from"
)]

use std::collections::{BTreeMap, BTreeSet};

use poq_proto::v1::Role;
use poq_store::{State, StoreError};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Children of one node.
const FAN_OUT: u64 = 16;
/// Levels of nodes; level 0 holds the weights of the members.
const DEPTH: u32 = 5;
/// Members that an index can hold: 16^5.
pub const CAPACITY: u64 = FAN_OUT.pow(DEPTH);
/// Bytes of one stored sum, a big-endian `u128`.
const SUM_BYTES: usize = 16;

type Sums = [u128; FAN_OUT as usize];

/// A weighted index under a key prefix. Members are slots `0..CAPACITY`.
pub struct WeightedIndex {
    prefix: String,
}

impl WeightedIndex {
    /// The index stored under `prefix`, which ends with `/`.
    pub fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// Sets the weight of a slot; 0 removes it from all draws.
    pub fn set_weight(&self, state: &mut State, slot: u64, weight: u128) -> Result<()> {
        if slot >= CAPACITY {
            return Err(Error::broken(format!("slot {slot} is beyond the index")));
        }
        let mut position = slot;
        let mut value = weight;
        for level in 0..DEPTH {
            let node = position / FAN_OUT;
            let mut sums = self.sums(state, level, node)?;
            sums[child(position)] = value;
            value = total(&sums)?;
            self.put_sums(state, level, node, &sums)?;
            position = node;
        }
        Ok(())
    }

    /// The sum of all weights.
    pub fn total(&self, state: &State) -> Result<u128> {
        total(&self.sums(state, DEPTH - 1, 0)?)
    }

    /// Draws a slot that is not in `excluded`, with a probability proportional to its weight among
    /// the others. None if no weight is left.
    pub fn draw(
        &self,
        state: &State,
        stream: &mut RandomStream,
        excluded: &BTreeSet<u64>,
    ) -> Result<Option<u64>> {
        let mut taken = BTreeMap::new();
        for slot in excluded {
            taken.insert(*slot, self.weight(state, *slot)?);
        }
        let available = total(&self.remaining(state, DEPTH - 1, 0, &taken)?)?;
        if available == 0 {
            return Ok(None);
        }
        self.descend(state, stream.below(available), &taken)
            .map(Some)
    }

    /// The members with a positive weight, in slot order, at most `limit`.
    pub fn members(&self, state: &State, limit: usize) -> Result<Vec<(u64, u128)>> {
        let mut members = Vec::new();
        self.collect(state, DEPTH - 1, 0, limit, &mut members)?;
        Ok(members)
    }

    fn collect(
        &self,
        state: &State,
        level: u32,
        node: u64,
        limit: usize,
        members: &mut Vec<(u64, u128)>,
    ) -> Result<()> {
        for (index, weight) in (0..FAN_OUT).zip(self.sums(state, level, node)?) {
            let position = node * FAN_OUT + index;
            match level.checked_sub(1) {
                _ if weight == 0 => {}
                _ if members.len() >= limit => return Ok(()),
                Some(below) => self.collect(state, below, position, limit, members)?,
                None => members.push((position, weight)),
            }
        }
        Ok(())
    }

    /// Finds the slot at `point` of the cumulative remaining weights.
    fn descend(&self, state: &State, mut point: u128, taken: &BTreeMap<u64, u128>) -> Result<u64> {
        let mut node = 0;
        for level in (0..DEPTH).rev() {
            let sums = self.remaining(state, level, node, taken)?;
            let mut chosen = None;
            for (index, weight) in (0..FAN_OUT).zip(sums) {
                if point < weight {
                    chosen = Some(index);
                    break;
                }
                point -= weight;
            }
            let Some(index) = chosen else {
                return Err(Error::broken(format!(
                    "index {} is inconsistent",
                    self.prefix
                )));
            };
            node = node * FAN_OUT + index;
        }
        Ok(node)
    }

    /// The sums of a node's children without the weights in `taken`.
    fn remaining(
        &self,
        state: &State,
        level: u32,
        node: u64,
        taken: &BTreeMap<u64, u128>,
    ) -> Result<Sums> {
        let mut sums = self.sums(state, level, node)?;
        let width = FAN_OUT.pow(level);
        let first = node * FAN_OUT * width;
        for (slot, weight) in taken.range(first..first + FAN_OUT * width) {
            let sum = &mut sums[child(slot / width)];
            *sum = sum
                .checked_sub(*weight)
                .ok_or_else(|| Error::broken(format!("index {} is inconsistent", self.prefix)))?;
        }
        Ok(sums)
    }

    fn weight(&self, state: &State, slot: u64) -> Result<u128> {
        Ok(self.sums(state, 0, slot / FAN_OUT)?[child(slot)])
    }

    fn key(&self, level: u32, node: u64) -> String {
        format!("{}{level}/{node:06}", self.prefix)
    }

    fn sums(&self, state: &State, level: u32, node: u64) -> Result<Sums> {
        let key = self.key(level, node);
        let mut sums = Sums::default();
        let Some(stored) = state.get(&key)? else {
            return Ok(sums);
        };
        if stored.len() != SUM_BYTES * sums.len() {
            return Err(Error::broken(format!("{key} has {} bytes", stored.len())));
        }
        for (sum, bytes) in sums.iter_mut().zip(stored.chunks_exact(SUM_BYTES)) {
            let mut array = [0; SUM_BYTES];
            array.copy_from_slice(bytes);
            *sum = u128::from_be_bytes(array);
        }
        Ok(sums)
    }

    fn put_sums(
        &self,
        state: &mut State,
        level: u32,
        node: u64,
        sums: &Sums,
    ) -> std::result::Result<(), StoreError> {
        if *sums == Sums::default() {
            return state.delete(self.key(level, node));
        }
        let value: Vec<u8> = sums.iter().flat_map(|sum| sum.to_be_bytes()).collect();
        state.put(self.key(level, node), value)
    }
}

fn child(position: u64) -> usize {
    (position % FAN_OUT) as usize
}

fn total(sums: &Sums) -> Result<u128> {
    sums.iter()
        .try_fold(0u128, |total, sum| total.checked_add(*sum))
        .ok_or_else(|| Error::broken("the weights of an index exceed 128 bits"))
}

/// Domain separator of draws.
pub const DRAW_DOMAIN: &str = "poq/select/v1";
/// Domain separator of the draws of sessions' nodes.
pub const SESSION_DOMAIN: &str = "poq/session/v1";

/// The random numbers of one draw: `SHA-256(seed ‖ counter)` for counter 0, 1, …, with
/// `seed = SHA-256("poq/select/v1" ‖ beacon ‖ task ‖ role ‖ attempt)`, integers big-endian.
pub struct RandomStream {
    seed: [u8; 32],
    counter: u64,
}

impl RandomStream {
    /// The stream of a task's draw for a role.
    pub fn new(beacon: &[u8; 32], task: u64, role: Role, attempt: u32) -> Self {
        let seed = Sha256::new()
            .chain_update(DRAW_DOMAIN)
            .chain_update(beacon)
            .chain_update(task.to_be_bytes())
            .chain_update((role as u32).to_be_bytes())
            .chain_update(attempt.to_be_bytes())
            .finalize()
            .into();
        Self { seed, counter: 0 }
    }

    /// The stream that decides whether a task is audited: its seed is
    /// `SHA-256("poq/audit/v1" ‖ beacon ‖ task)`.
    pub fn of_audit(beacon: &[u8; 32], task: u64) -> Self {
        Self::of("poq/audit/v1", beacon, task)
    }

    /// The stream that draws the node of a session: its seed is `SHA-256("poq/session/v1" ‖ beacon ‖
    /// session)`.
    pub fn of_session(beacon: &[u8; 32], session: u64) -> Self {
        Self::of(SESSION_DOMAIN, beacon, session)
    }

    /// The stream that draws the leaves of a session: its seed is `SHA-256("poq/leaves/v1" ‖ beacon ‖
    /// session)`.
    pub fn of_leaves(beacon: &[u8; 32], session: u64) -> Self {
        Self::of("poq/leaves/v1", beacon, session)
    }

    fn of(domain: &str, beacon: &[u8; 32], number: u64) -> Self {
        let seed = Sha256::new()
            .chain_update(domain)
            .chain_update(beacon)
            .chain_update(number.to_be_bytes())
            .finalize()
            .into();
        Self { seed, counter: 0 }
    }

    /// A number in `0..bound`, without modulo bias; 0 for a bound of 0 or 1.
    pub fn below(&mut self, bound: u128) -> u128 {
        if bound <= 1 {
            return 0;
        }
        // Numbers at or above the largest multiple of `bound` would favour small remainders.
        let accepted = u128::MAX - (u128::MAX % bound);
        loop {
            let number = self.next();
            if number < accepted {
                return number % bound;
            }
        }
    }

    fn next(&mut self) -> u128 {
        let block = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.counter.to_be_bytes())
            .finalize();
        self.counter = self.counter.wrapping_add(1);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&block[..16]);
        u128::from_be_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use poq_store::Store;

    use super::*;

    fn index_with(weights: &[u128]) -> (tempfile::TempDir, State, WeightedIndex) {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::new(Store::open(folder.path(), 2).unwrap().snapshot());
        let index = WeightedIndex::new("test/".into());
        for (slot, weight) in (0..).zip(weights) {
            index.set_weight(&mut state, slot, *weight).unwrap();
        }
        (folder, state, index)
    }

    fn stream(task: u64) -> RandomStream {
        RandomStream::new(&[7; 32], task, Role::Evaluator, 0)
    }

    #[test]
    fn frequencies_follow_weights() {
        let weights = [0, 1_000, 2_000, 0, 5_000];
        let (_folder, state, index) = index_with(&weights);
        let mut counts = [0u128; 5];
        for task in 0..8_000 {
            let drawn = index
                .draw(&state, &mut stream(task), &BTreeSet::new())
                .unwrap();
            counts[drawn.unwrap() as usize] += 1;
        }
        assert_eq!((counts[0], counts[3]), (0, 0));
        for slot in [1, 2, 4] {
            // 8,000 draws over a total weight of 8,000: five standard deviations are below 230.
            assert!(counts[slot].abs_diff(weights[slot]) < 230, "{counts:?}");
        }
    }

    #[test]
    fn excluded_and_removed_slots_are_never_drawn() {
        let (_folder, mut state, index) = index_with(&[1; 40]);
        index.set_weight(&mut state, 39, 0).unwrap();
        let mut taken = BTreeSet::new();
        while let Some(slot) = index.draw(&state, &mut stream(1), &taken).unwrap() {
            assert!(slot < 39 && taken.insert(slot));
        }
        assert_eq!(taken.len(), 39);
        assert!(index.set_weight(&mut state, CAPACITY, 1).is_err());
    }

    #[test]
    fn members_are_listed_in_order_up_to_a_limit() {
        let mut weights = vec![0; 300];
        (weights[3], weights[17], weights[299]) = (5, 6, 7);
        let (_folder, state, index) = index_with(&weights);
        let all = [(3, 5), (17, 6), (299, 7)];
        assert_eq!(index.members(&state, 9).unwrap(), all);
        assert_eq!(index.members(&state, 2).unwrap(), all[..2]);
    }

    #[test]
    fn numbers_below_a_bound_cover_it() {
        let mut stream = stream(2);
        let seen: BTreeSet<u128> = (0..200).map(|_| stream.below(7)).collect();
        assert_eq!(seen, (0..7).collect());
        assert_eq!((stream.below(0), stream.below(1)), (0, 0));
    }

    #[test]
    fn streams_should_not_change() {
        insta::assert_snapshot!(stream(3).below(u128::MAX), @"239894339845802877371296216551628755851");
    }
}
