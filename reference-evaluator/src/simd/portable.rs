//! [`Lanes`] from basic operations, for processors without the other instruction sets.

use super::{LANES, Lanes, fused};

/// Sixteen numbers, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = self.0;
        for (value, other) in result.iter_mut().zip(other.0) {
            *value = operation(*value, other);
        }
        Self(result)
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        *to = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        let mut result = [0.0; LANES];
        for (lane, value) in result.iter_mut().enumerate() {
            *value = fused::mul_add(self.0[lane], factor.0[lane], summand.0[lane]);
        }
        Self(result)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }

    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        self.zip(sign, f32::copysign)
    }

    #[inline(always)]
    fn if_greater(self, other: Self, then: Self, otherwise: Self) -> Self {
        let mut result = otherwise.0;
        for (lane, value) in result.iter_mut().enumerate() {
            if self.0[lane] > other.0[lane] {
                *value = then.0[lane];
            }
        }
        Self(result)
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        let exponent = |value: f32| (value.to_bits() << 23).wrapping_add(1.0_f32.to_bits());
        Self(self.0.map(|value| f32::from_bits(exponent(value))))
    }
}
