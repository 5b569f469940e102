//! Products of matrices.
//!
//! Each element is one chain of fused multiply-adds in the order of the inner index. Lanes are
//! neighbouring columns, so the bits depend neither on the number of lanes nor on the blocks.

use std::ops::Range;

use super::pack::{self, PANEL, Panels, Row};
use crate::simd::Lanes;

/// Computes `ROWS` rows by `HALVES` times sixteen columns of a product in registers.
#[inline(always)]
fn tile<L: Lanes, const ROWS: usize, const HALVES: usize>(
    left: &[f32],
    right: &[Row],
    half: usize,
    start: [L; HALVES],
) -> [[L; HALVES]; ROWS] {
    let mut sums = [start; ROWS];
    for (left, right) in left.as_chunks::<ROWS>().0.iter().zip(right) {
        let mut columns = start;
        for (index, column) in columns.iter_mut().enumerate() {
            *column = L::load(&right.0[half + index]);
        }
        for (sums, left) in sums.iter_mut().zip(left) {
            let value = L::splat(*left);
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = value.mul_add(column, *sum);
            }
        }
    }
    sums
}

/// Receives the rows of a [`tile`].
pub(super) trait Sink<L: Lanes> {
    /// Receives sixteen columns of a row, in this half of the panel.
    fn put(&mut self, row: usize, half: usize, values: L);
}

/// Computes the product of packed rows (see [`pack::rows`]) and one panel, from `start` on.
#[inline(always)]
pub(super) fn panel<L: Lanes, const MAIN: usize, const HALVES: usize>(
    left: &[f32],
    rows: usize,
    right: &[Row],
    start: [L; 2],
    sink: &mut impl Sink<L>,
) {
    let depth = right.len();
    let mut row = 0;
    while row < rows {
        let size = pack::block::<MAIN>(rows - row);
        let left = &left[row * depth..][..size * depth];
        let mut half = 0;
        while half < 2 {
            match size {
                4 => put::<L, 4, HALVES>(left, right, half, start, row, sink),
                2 => put::<L, 2, HALVES>(left, right, half, start, row, sink),
                1 => put::<L, 1, HALVES>(left, right, half, start, row, sink),
                _ => put::<L, MAIN, HALVES>(left, right, half, start, row, sink),
            }
            half += HALVES;
        }
        row += size;
    }
}

#[inline(always)]
fn put<L: Lanes, const ROWS: usize, const HALVES: usize>(
    left: &[f32],
    right: &[Row],
    half: usize,
    start: [L; 2],
    row: usize,
    sink: &mut impl Sink<L>,
) {
    let mut first = [start[0]; HALVES];
    for (index, first) in first.iter_mut().enumerate() {
        *first = start[half + index];
    }
    let sums = tile::<L, ROWS, HALVES>(left, right, half, first);
    for (index, sums) in sums.into_iter().enumerate() {
        for (part, sum) in sums.into_iter().enumerate() {
            sink.put(row + index, half + part, sum);
        }
    }
}

/// Writes rows of a row-major matrix.
struct Rows<'a> {
    values: &'a mut [f32],
    stride: usize,
    column: usize,
}

impl<L: Lanes> Sink<L> for Rows<'_> {
    #[inline(always)]
    fn put(&mut self, row: usize, half: usize, values: L) {
        let start = row * self.stride + self.column + half * crate::simd::LANES;
        if let Some(target) = self.values[start..].first_chunk_mut() {
            values.store(target);
        }
    }
}

/// A dense layer: `rows · weights + bias`. Each chain begins with the bias.
pub(crate) struct Dense {
    /// The weights.
    pub weights: Panels,
    /// One number per column.
    pub bias: Vec<f32>,
}

/// Part of a [`Dense`] layer's output for packed rows.
pub(crate) struct Output<'a> {
    /// Row-major matrix that contains the computed columns.
    pub values: &'a mut [f32],
    /// Distance between the starts of two rows.
    pub stride: usize,
    /// Columns of the layer and of the output; the bounds are multiples of [`PANEL`].
    pub columns: Range<usize>,
}

impl<'a> Output<'a> {
    /// Selects columns of a row-major matrix with rows of `stride` numbers.
    pub(crate) fn new(values: &'a mut [f32], stride: usize, columns: Range<usize>) -> Self {
        Self {
            values,
            stride,
            columns,
        }
    }
}

/// Computes some columns of a dense layer for packed rows (see [`pack::rows`]).
#[inline(always)]
pub(super) fn dense<L: Lanes, const MAIN: usize, const HALVES: usize>(
    layer: &Dense,
    packed: &[f32],
    output: Output<'_>,
) {
    let rows = packed.len() / layer.weights.depth();
    let mut column = output.columns.start;
    let bias = layer.bias[output.columns.clone()].as_chunks().0;
    let panels = layer.weights.columns(output.columns);
    for (right, bias) in panels.zip(bias.as_chunks::<2>().0) {
        let start = [L::load(&bias[0]), L::load(&bias[1])];
        let mut sink = Rows {
            values: output.values,
            stride: output.stride,
            column,
        };
        panel::<L, MAIN, HALVES>(packed, rows, right, start, &mut sink);
        column += PANEL;
    }
}
