//! Attention of all heads.
//!
//! Lanes are queries: scores, softmax and weighted values are computed for 32 queries at a time, so
//! that sums over keys are chains in the order of the keys.

use super::pack::{self, PANEL, Row, View};
use super::product::{self, Sink};
use crate::math;
use crate::simd::{LANES, Lanes};

/// Input and output of attention.
pub(crate) struct Attention<'a> {
    /// Rows: the queries of all heads, then their keys, then their values.
    pub rows: &'a [f32],
    /// Width of a row's queries; keys and values have the same width.
    pub hidden: usize,
    /// Number of rows with keys and values.
    pub tokens: usize,
    /// Number of rows, from the first on, whose output is computed.
    pub queries: usize,
    /// Number of heads, which divides `hidden`.
    pub heads: usize,
    /// `queries` rows of width `hidden`.
    pub output: &'a mut [f32],
}

/// Buffers of attention, reused between calls.
#[derive(Default)]
pub(crate) struct Workspace {
    keys: Vec<f32>,
    values: Vec<f32>,
    query: Vec<Row>,
    scores: Vec<Row>,
    mixed: Vec<Row>,
}

impl<L: Lanes> Sink<L> for &mut [Row] {
    #[inline(always)]
    fn put(&mut self, row: usize, half: usize, values: L) {
        values.store(&mut self[row].0[half]);
    }
}

/// Softmax(queries · keysᵀ / √d) · values, for each head.
#[inline(always)]
pub(super) fn attention<L: Lanes, const MAIN: usize, const HALVES: usize>(
    task: Attention<'_>,
    space: &mut Workspace,
) {
    let width = task.hidden / task.heads;
    let scale = 1.0 / (width as f32).sqrt();
    let stride = 3 * task.hidden;
    let zero = [L::splat(0.0); 2];
    space.query.resize(width, Row::ZERO);
    space.mixed.resize(width, Row::ZERO);
    space.scores.resize(task.tokens, Row::ZERO);
    for head in 0..task.heads {
        let view = |part: usize| View {
            values: &task.rows[part * task.hidden + head * width..],
            stride,
            width,
        };
        pack::rows::<MAIN>(view(1), task.tokens, &mut space.keys);
        pack::columns::<MAIN>(view(2), task.tokens, &mut space.values);
        for first in (0..task.queries).step_by(PANEL) {
            let queries = PANEL.min(task.queries - first);
            load_queries(view(0), first, queries, scale, &mut space.query);
            let mut scores = space.scores.as_mut_slice();
            product::panel::<L, MAIN, HALVES>(
                &space.keys,
                task.tokens,
                &space.query,
                zero,
                &mut scores,
            );
            let shares = softmax::<L>(&mut space.scores);
            let mut mixed = space.mixed.as_mut_slice();
            product::panel::<L, MAIN, HALVES>(
                &space.values,
                width,
                &space.scores,
                zero,
                &mut mixed,
            );
            for row in &mut space.mixed {
                for (values, share) in row.0.iter_mut().zip(shares) {
                    L::load(values).mul(share).store(values);
                }
            }
            let output = &mut task.output[first * task.hidden + head * width..];
            store_mixed(&space.mixed, queries, task.hidden, output);
        }
    }
}

/// Writes the scaled queries as columns. Columns without a query keep old values, which no other
/// column reads.
#[inline(always)]
fn load_queries(view: View<'_>, first: usize, queries: usize, scale: f32, panel: &mut [Row]) {
    for query in 0..queries {
        for (row, value) in panel.iter_mut().zip(view.row(first + query)) {
            row.values_mut()[query] = value * scale;
        }
    }
}

#[inline(always)]
fn store_mixed(panel: &[Row], queries: usize, hidden: usize, output: &mut [f32]) {
    for query in 0..queries {
        let target = &mut output[query * hidden..][..panel.len()];
        for (row, value) in panel.iter().zip(target) {
            *value = row.values()[query];
        }
    }
}

/// Replaces each column by `e^(score - highest)` and returns the reciprocals of the columns' sums.
#[inline(always)]
fn softmax<L: Lanes>(scores: &mut [Row]) -> [L; 2] {
    let mut highest = [L::splat(f32::NEG_INFINITY); 2];
    for row in scores.iter() {
        for (highest, values) in highest.iter_mut().zip(&row.0) {
            *highest = L::load(values).max(*highest);
        }
    }
    let mut sums = [L::splat(0.0); 2];
    for row in scores {
        for (half, values) in row.0.iter_mut().enumerate() {
            let power = math::exp(L::load(values).sub(highest[half]));
            sums[half] = sums[half].add(power);
            power.store(values);
        }
    }
    [L::splat(1.0).div(sums[0]), L::splat(1.0).div(sums[1])]
}

const _: () = assert!(PANEL == 2 * LANES);
