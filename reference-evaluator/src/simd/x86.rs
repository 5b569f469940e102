//! [`Lanes`] for x86-64.
//!
//! The intrinsics are safe on processors that have them; see [`Lanes`]. Loads and stores take
//! references to whole arrays, so they stay in bounds.

#![allow(
    unsafe_code,
    reason = "intrinsics; the caller has detected their instructions"
)]

use std::arch::x86_64::*;

use super::{LANES, Lanes};

/// Two registers of AVX2, with FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

/// One register of AVX-512F.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

const SIGN: i32 = i32::MIN;
const ONE: i32 = 0x3F80_0000;

impl Avx2 {
    #[inline(always)]
    fn each(self, operation: impl Fn(__m256) -> __m256) -> Self {
        Self(operation(self.0), operation(self.1))
    }

    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(__m256, __m256) -> __m256) -> Self {
        Self(operation(self.0, other.0), operation(self.1, other.1))
    }
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: the processor has AVX2.
        let half = unsafe { _mm256_set1_ps(value) };
        Self(half, half)
    }

    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        // SAFETY: the processor has AVX2; the array has two halves of eight.
        unsafe {
            Self(
                _mm256_loadu_ps(from.as_ptr()),
                _mm256_loadu_ps(from.as_ptr().add(8)),
            )
        }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: the processor has AVX2; the array has two halves of eight.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), self.0);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: the processor has AVX2.
        self.zip(other, |a, b| unsafe { _mm256_add_ps(a, b) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: the processor has AVX2.
        self.zip(other, |a, b| unsafe { _mm256_sub_ps(a, b) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: the processor has AVX2.
        self.zip(other, |a, b| unsafe { _mm256_mul_ps(a, b) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: the processor has AVX2.
        self.zip(other, |a, b| unsafe { _mm256_div_ps(a, b) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        // SAFETY: the processor has FMA.
        unsafe {
            Self(
                _mm256_fmadd_ps(self.0, factor.0, summand.0),
                _mm256_fmadd_ps(self.1, factor.1, summand.1),
            )
        }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: the processor has AVX2. MAXPS returns the first operand only where it is greater.
        self.zip(other, |a, b| unsafe { _mm256_max_ps(a, b) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: the processor has AVX2. MINPS returns the first operand only where it is less.
        self.zip(other, |a, b| unsafe { _mm256_min_ps(a, b) })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: the processor has AVX2.
        self.each(|value| unsafe {
            _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_set1_epi32(SIGN)), value)
        })
    }

    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        // SAFETY: the processor has AVX2.
        self.zip(sign, |value, sign| unsafe {
            let mask = _mm256_castsi256_ps(_mm256_set1_epi32(SIGN));
            _mm256_or_ps(value, _mm256_and_ps(sign, mask))
        })
    }

    #[inline(always)]
    fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the processor has AVX2.
        unsafe {
            let first = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0);
            let second = _mm256_cmp_ps::<_CMP_GT_OQ>(self.1, other.1);
            Self(
                _mm256_blendv_ps(otherwise.0, then.0, first),
                _mm256_blendv_ps(otherwise.1, then.1, second),
            )
        }
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        // SAFETY: the processor has AVX2.
        self.each(|value| unsafe {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(value));
            _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(ONE)))
        })
    }
}

impl Lanes for Avx512 {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: the processor has AVX-512F.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        // SAFETY: the processor has AVX-512F; the array has sixteen numbers.
        Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: the processor has AVX-512F; the array has sixteen numbers.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512F.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512F.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512F.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512F.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        // SAFETY: the processor has AVX-512F.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, summand.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512F. The result is the first operand only where it is greater.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512F. The result is the first operand only where it is less.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: the processor has AVX-512F.
        Self(unsafe { _mm512_abs_ps(self.0) })
    }

    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        // SAFETY: the processor has AVX-512F.
        unsafe {
            let bits = _mm512_castps_si512(sign.0);
            let sign = _mm512_and_si512(bits, _mm512_set1_epi32(SIGN));
            let value = _mm512_castps_si512(self.0);
            Self(_mm512_castsi512_ps(_mm512_or_si512(value, sign)))
        }
    }

    #[inline(always)]
    fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: the processor has AVX-512F.
        unsafe {
            let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0);
            Self(_mm512_mask_blend_ps(greater, otherwise.0, then.0))
        }
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        // SAFETY: the processor has AVX-512F.
        unsafe {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
            let one = _mm512_set1_epi32(ONE);
            Self(_mm512_castsi512_ps(_mm512_add_epi32(exponent, one)))
        }
    }
}
