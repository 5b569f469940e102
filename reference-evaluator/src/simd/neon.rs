//! [`Lanes`] for 64-bit ARM. Every such processor has NEON with fused multiply-add.

#![allow(unsafe_code, reason = "intrinsics that every 64-bit ARM processor has")]

use std::arch::aarch64::*;

use super::{LANES, Lanes};

/// Four registers.
#[derive(Clone, Copy)]
pub struct Neon([float32x4_t; 4]);

impl Neon {
    #[inline(always)]
    fn each(self, operation: impl Fn(float32x4_t) -> float32x4_t) -> Self {
        let [a, b, c, d] = self.0;
        Self([operation(a), operation(b), operation(c), operation(d)])
    }

    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([
            operation(a, e),
            operation(b, f),
            operation(c, g),
            operation(d, h),
        ])
    }
}

impl Lanes for Neon {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: every such processor has NEON.
        Self([unsafe { vdupq_n_f32(value) }; 4])
    }

    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        let start = from.as_ptr();
        // SAFETY: every such processor has NEON; the array has four quarters of four.
        unsafe {
            Self([
                vld1q_f32(start),
                vld1q_f32(start.add(4)),
                vld1q_f32(start.add(8)),
                vld1q_f32(start.add(12)),
            ])
        }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        let start = to.as_mut_ptr();
        // SAFETY: every such processor has NEON; the array has four quarters of four.
        unsafe {
            vst1q_f32(start, self.0[0]);
            vst1q_f32(start.add(4), self.0[1]);
            vst1q_f32(start.add(8), self.0[2]);
            vst1q_f32(start.add(12), self.0[3]);
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: every such processor has NEON.
        self.zip(other, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: every such processor has NEON.
        self.zip(other, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: every such processor has NEON.
        self.zip(other, |a, b| unsafe { vmulq_f32(a, b) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: every such processor has NEON.
        self.zip(other, |a, b| unsafe { vdivq_f32(a, b) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        let mut result = summand.0;
        for (lane, sum) in result.iter_mut().enumerate() {
            // SAFETY: every such processor has NEON.
            *sum = unsafe { vfmaq_f32(*sum, self.0[lane], factor.0[lane]) };
        }
        Self(result)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: every such processor has NEON. Its maximum instruction treats zeros differently.
        self.zip(other, |a, b| unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: every such processor has NEON. Its minimum instruction treats zeros differently.
        self.zip(other, |a, b| unsafe { vbslq_f32(vcltq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: every such processor has NEON.
        self.each(|value| unsafe { vabsq_f32(value) })
    }

    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        // SAFETY: every such processor has NEON.
        self.zip(sign, |value, sign| unsafe {
            vbslq_f32(vdupq_n_u32(1 << 31), sign, value)
        })
    }

    #[inline(always)]
    fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self {
        let mut result = otherwise.0;
        for (lane, value) in result.iter_mut().enumerate() {
            // SAFETY: every such processor has NEON.
            *value =
                unsafe { vbslq_f32(vcgtq_f32(self.0[lane], other.0[lane]), then.0[lane], *value) };
        }
        Self(result)
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        // SAFETY: every such processor has NEON.
        self.each(|value| unsafe {
            let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(value));
            vreinterpretq_f32_u32(vaddq_u32(exponent, vdupq_n_u32(1.0_f32.to_bits())))
        })
    }
}
