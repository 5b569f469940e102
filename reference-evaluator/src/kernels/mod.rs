//! The steps of the model, compiled once for each of [`Instructions`].

#![allow(
    unsafe_code,
    reason = "functions compiled for instructions that their caller has detected"
)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "positions within matrices whose lengths are products of their dimensions"
)]

mod attention;
mod pack;
mod product;
mod rows;

pub(crate) use attention::{Attention, Workspace};
pub(crate) use pack::{PANEL, Panels, View};
pub(crate) use product::{Dense, Output};
pub(crate) use rows::Norm;

use crate::math;
use crate::simd::Instructions;

/// The kernels for one instruction set.
///
/// Calling them on a processor without these instructions is unsound. [`Kernels::new`] is the only
/// constructor and returns only kernels that the processor supports.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    pack: unsafe fn(View<'_>, usize, &mut Vec<f32>),
    dense: unsafe fn(&Dense, &[f32], Output<'_>),
    attention: unsafe fn(Attention<'_>, &mut Workspace),
    normalize: unsafe fn(&Norm, &mut [f32]),
    add_and_normalize: unsafe fn(&Norm, &mut [f32], &[f32]),
    gelu: unsafe fn(&mut [f32]),
    tanh: unsafe fn(&mut [f32]),
    dot: unsafe fn(&[f32], &[f32]) -> f32,
}

/// Instantiates the kernels for lanes, rows of a tile and halves of a panel, with target features.
macro_rules! kernels {
    ($lanes:ty, $rows:literal, $halves:literal $(, $feature:literal)?) => {{
        $(#[target_feature(enable = $feature)])?
        unsafe fn pack(matrix: View<'_>, rows: usize, packed: &mut Vec<f32>) {
            pack::rows::<$rows>(matrix, rows, packed);
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn dense(layer: &Dense, packed: &[f32], output: Output<'_>) {
            product::dense::<$lanes, $rows, $halves>(layer, packed, output);
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn attend(task: Attention<'_>, space: &mut Workspace) {
            attention::attention::<$lanes, $rows, $halves>(task, space);
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn normalize(norm: &Norm, values: &mut [f32]) {
            rows::normalize::<$lanes>(norm, values);
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn add_and_normalize(norm: &Norm, values: &mut [f32], other: &[f32]) {
            rows::add_and_normalize::<$lanes>(norm, values, other);
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn gelu(values: &mut [f32]) {
            rows::gelu::<$lanes>(values);
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn tanh(values: &mut [f32]) {
            rows::tanh::<$lanes>(values);
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn dot(a: &[f32], b: &[f32]) -> f32 {
            math::dot::<$lanes>(a, b)
        }
        Kernels {
            pack,
            dense,
            attention: attend,
            normalize,
            add_and_normalize,
            gelu,
            tanh,
            dot,
        }
    }};
}

impl Kernels {
    /// The kernels for these instructions; the portable ones if the processor lacks them.
    pub(crate) fn new(instructions: Instructions) -> Self {
        let portable = kernels!(crate::simd::portable::Portable, 4, 1);
        if !Instructions::available().contains(&instructions) {
            return portable;
        }
        match instructions {
            Instructions::Portable => portable,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => kernels!(crate::simd::x86::Avx2, 6, 1, "avx2,fma"),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => kernels!(crate::simd::x86::Avx512, 12, 2, "avx512f"),
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => kernels!(crate::simd::neon::Neon, 6, 1, "neon"),
        }
    }

    /// Packs rows for [`Self::dense`].
    pub(crate) fn pack(&self, matrix: View<'_>, rows: usize, packed: &mut Vec<f32>) {
        // SAFETY: the processor has the instructions; so below.
        unsafe { (self.pack)(matrix, rows, packed) }
    }

    /// Computes some columns of a dense layer.
    pub(crate) fn dense(&self, layer: &Dense, packed: &[f32], output: Output<'_>) {
        // SAFETY: see `pack`.
        unsafe { (self.dense)(layer, packed, output) }
    }

    /// Computes the attention of all heads.
    pub(crate) fn attention(&self, task: Attention<'_>, space: &mut Workspace) {
        // SAFETY: see `pack`.
        unsafe { (self.attention)(task, space) }
    }

    /// Normalises rows.
    pub(crate) fn normalize(&self, norm: &Norm, values: &mut [f32]) {
        // SAFETY: see `pack`.
        unsafe { (self.normalize)(norm, values) }
    }

    /// Adds rows to rows and normalises the sums.
    pub(crate) fn add_and_normalize(&self, norm: &Norm, values: &mut [f32], other: &[f32]) {
        // SAFETY: see `pack`.
        unsafe { (self.add_and_normalize)(norm, values, other) }
    }

    /// Applies [`math::gelu`] to each number.
    pub(crate) fn gelu(&self, values: &mut [f32]) {
        // SAFETY: see `pack`.
        unsafe { (self.gelu)(values) }
    }

    /// Applies [`math::tanh`] to each number.
    pub(crate) fn tanh(&self, values: &mut [f32]) {
        // SAFETY: see `pack`.
        unsafe { (self.tanh)(values) }
    }

    /// [`math::dot`].
    pub(crate) fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: see `pack`.
        unsafe { (self.dot)(a, b) }
    }
}
