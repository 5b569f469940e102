//! Sixteen numbers at a time, with the same bits on every processor.
//!
//! Every operation here is one that IEEE 754 defines to the last bit (the nearest number to the
//! exact result), lane by lane, so it does not matter how many lanes an instruction has.

mod fused;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod portable;
#[cfg(target_arch = "x86_64")]
pub mod x86;

/// Lanes of a [`Lanes`].
pub const LANES: usize = 16;

/// Sixteen f32. All operations are lane by lane and rounded once.
///
/// Implementations use instructions that the processor may lack: whoever calls a function that is
/// generic over this must know that it has them. The functions are `inline(always)`, as only then
/// they become single instructions within the functions that enable those.
pub trait Lanes: Copy {
    /// The same value in each lane.
    fn splat(value: f32) -> Self;
    /// From memory.
    fn load(from: &[f32; LANES]) -> Self;
    /// To memory.
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
    /// This magnitude with the sign of `sign`. `self` has no sign bit.
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

/// The instructions that kernels are compiled for. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// What every processor has; fused operations are computed by others. The slowest by far.
    Portable,
    /// AVX2 and FMA of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON of 64-bit ARM, which all of them have.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Instructions {
    /// What this processor has, the fastest last.
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

    /// The fastest that this processor has.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }
}
