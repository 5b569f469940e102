//! A fused multiply-add from the basic operations of f64.

/// `a · b + c`, rounded once, without an FMA instruction: `f32::mul_add` calls the platform's
/// mathematical library where the compiler may not use that instruction.
///
/// The product of two f32 is exact in f64. An inexact sum gets an odd last bit (rounding to odd), after
/// which rounding to f32 gives the same result as for the exact sum, because f64 has more than two bits
/// more than f32 (Boldo and Melquiond, "Emulation of FMA and correctly rounded
/// sums: proved algorithms using rounding to odd", IEEE Transactions on Computers 57, 2008).
#[inline(always)]
pub(super) fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let summand = f64::from(c);
    let sum = product + summand;
    // The exact error of the sum (Knuth's TwoSum); NaN if the sum is infinite or NaN.
    let rounded = sum - product;
    let error = (product - (sum - rounded)) + (summand - rounded);
    let bits = sum.to_bits();
    // The neighbour on the side of the error: further from zero if both have the same sign.
    let away = (error > 0.0) == (sum > 0.0);
    let neighbour = if away {
        bits.wrapping_add(1)
    } else {
        bits.wrapping_sub(1)
    };
    let inexact = error.abs() > 0.0;
    let odd = if inexact && bits & 1 == 0 {
        neighbour
    } else {
        bits
    };
    f64::from_bits(odd) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(a: f32, b: f32, c: f32) {
        // The platform's own operation, which IEEE 754 also defines.
        let expected = a.mul_add(b, c);
        let actual = mul_add(a, b, c);
        let equal = expected.to_bits() == actual.to_bits() || expected.is_nan() && actual.is_nan();
        assert!(
            equal,
            "{a:e} {b:e} {c:e}: {actual:e}, expected {expected:e}"
        );
    }

    #[test]
    fn special_values_are_those_of_ieee() {
        let values = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            -f32::from_bits(1),
            f32::MAX,
            f32::MIN,
            f32::EPSILON,
            1.0 + f32::EPSILON,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ];
        for a in values {
            for b in values {
                for c in values {
                    same(a, b, c);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_bits_give_what_the_instruction_gives(a: u32, b: u32, c: u32) {
            same(f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
        }

        #[test]
        fn sums_that_nearly_cancel_are_exact(a in -2.0_f32..2.0, b in -2.0_f32..2.0, ulps in -4_i32..=4, shift in 0_i32..40) {
            let c = f32::from_bits((-(a * b)).to_bits().wrapping_add_signed(ulps));
            same(a, b, c);
            same(a, b, c * (1.0 / (1_u64 << shift) as f32));
        }
    }
}
