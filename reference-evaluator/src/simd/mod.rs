//! Sixteen numbers at a time, with the same bits on every processor.
//!
//! IEEE 754 defines every operation used here to the last bit, as the number nearest to the exact
//! result. Operations are lane by lane, so the number of lanes of an instruction does not matter.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "positions within sixteen lanes; a rounded f64 becomes the nearest f32"
)]

mod fused;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Lanes of a [`Lanes`].
pub(crate) const LANES: usize = 16;

/// Sixteen f32. All operations are lane by lane and rounded once.
///
/// Implementations use instructions that the processor may lack: the caller of a function that is
/// generic over this trait must have detected them. The functions are `inline(always)`, because only
/// then they become single instructions in the functions that enable the target feature.
pub(crate) trait Lanes: Copy {
    /// The same value in each lane.
    fn splat(value: f32) -> Self;
    /// Loads the lanes from memory.
    fn load(from: &[f32; LANES]) -> Self;
    /// Stores the lanes to memory.
    fn store(self, to: &mut [f32; LANES]);
    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self - other`.
    fn sub(self, other: Self) -> Self;
    /// `self · other`.
    fn mul(self, other: Self) -> Self;
    /// `self / other`.
    fn div(self, other: Self) -> Self;
    /// `self · factor + summand`, rounded once.
    fn mul_add(self, factor: Self, summand: Self) -> Self;
    /// `self` where it is greater than `other`, and `other` elsewhere.
    fn max(self, other: Self) -> Self;
    /// `self` where it is less than `other`, and `other` elsewhere.
    fn min(self, other: Self) -> Self;
    /// The magnitude.
    fn abs(self) -> Self;
    /// `self`, which must not be negative, with the sign of `sign`.
    fn with_sign_of(self, sign: Self) -> Self;
    /// `then` where `self` is greater than `other`, and `otherwise` elsewhere.
    fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self;
    /// `2^n`, where `self` is `1.5 · 2^23 + n` and `n` is from -126 to 127.
    fn power_of_two(self) -> Self;

    /// The lanes as an array.
    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        self.store(&mut array);
        array
    }
}

/// The instruction sets that kernels are compiled for. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Instructions of every processor; fused operations are emulated. By far the slowest.
    Portable,
    /// AVX2 and FMA of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON, which every 64-bit ARM processor has.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Instructions {
    /// The instruction sets of this processor, the fastest last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut available = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                available.push(Self::Avx2);
            }
            if std::arch::is_x86_feature_detected!("avx512f") {
                available.push(Self::Avx512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        available.push(Self::Neon);
        available
    }

    /// The fastest instruction set of this processor.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }
}
