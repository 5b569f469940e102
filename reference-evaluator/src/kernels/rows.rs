//! Operations on single rows.

use crate::math;
use crate::simd::{LANES, Lanes};

/// Gain, shift and epsilon of a layer normalisation.
pub(crate) struct Norm {
    /// Factor of each column.
    pub gain: Vec<f32>,
    /// Summand of each column.
    pub shift: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// Normalises each row.
#[inline(always)]
pub(super) fn normalize<L: Lanes>(norm: &Norm, rows: &mut [f32]) {
    for row in rows.chunks_exact_mut(norm.gain.len()) {
        normalize_row::<L>(norm, row);
    }
}

/// Adds `other` to `rows` and normalises each row.
#[inline(always)]
pub(super) fn add_and_normalize<L: Lanes>(norm: &Norm, rows: &mut [f32], other: &[f32]) {
    let width = norm.gain.len();
    for (row, other) in rows.chunks_exact_mut(width).zip(other.chunks_exact(width)) {
        for (values, other) in chunks_mut(row).iter_mut().zip(chunks(other)) {
            L::load(values).add(L::load(other)).store(values);
        }
        normalize_row::<L>(norm, row);
    }
}

#[inline(always)]
fn normalize_row<L: Lanes>(norm: &Norm, row: &mut [f32]) {
    let width = row.len() as f32;
    let mut sum = L::splat(0.0);
    for values in chunks(row) {
        sum = sum.add(L::load(values));
    }
    let mean = L::splat(math::sum(sum.to_array()) / width);
    let mut squares = L::splat(0.0);
    for values in chunks_mut(row) {
        let centred = L::load(values).sub(mean);
        squares = centred.mul_add(centred, squares);
        centred.store(values);
    }
    let variance = math::sum(squares.to_array()) / width;
    let factor = L::splat(1.0 / (variance + norm.epsilon).sqrt());
    let parameters = chunks(&norm.gain).iter().zip(chunks(&norm.shift));
    for (values, (gain, shift)) in chunks_mut(row).iter_mut().zip(parameters) {
        L::load(values)
            .mul(factor)
            .mul_add(L::load(gain), L::load(shift))
            .store(values);
    }
}

/// Replaces each number by its [`math::gelu`].
#[inline(always)]
pub(super) fn gelu<L: Lanes>(values: &mut [f32]) {
    for values in chunks_mut(values) {
        math::gelu(L::load(values)).store(values);
    }
}

/// Replaces each number by its [`math::tanh`].
#[inline(always)]
pub(super) fn tanh<L: Lanes>(values: &mut [f32]) {
    for values in chunks_mut(values) {
        math::tanh(L::load(values)).store(values);
    }
}

#[inline(always)]
fn chunks(values: &[f32]) -> &[[f32; LANES]] {
    values.as_chunks().0
}

#[inline(always)]
fn chunks_mut(values: &mut [f32]) -> &mut [[f32; LANES]] {
    values.as_chunks_mut().0
}
