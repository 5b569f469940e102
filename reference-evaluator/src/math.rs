//! Exponential, error function, hyperbolic tangent and sums, from the operations of [`Lanes`].
//!
//! They are part of the definition of a score: changing a coefficient or the order of operations
//! changes scores.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "positions within sixteen lanes"
)]

use crate::simd::{LANES, Lanes};

/// `1.5 · 2^23`: a number added to it is rounded to the nearest integer, ties to even.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has so few bits that its products with exponents are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Beyond these limits `exp` would leave the normal numbers.
const EXP_LEAST: f32 = -87.0;
const EXP_MOST: f32 = 88.0;

/// `e^x`, within 1.2 units in the last place; `x` is clamped to -87..=88.
#[inline(always)]
pub(crate) fn exp<L: Lanes>(x: L) -> L {
    let x = x.max(L::splat(EXP_LEAST)).min(L::splat(EXP_MOST));
    let round = L::splat(ROUND);
    // x = n · ln 2 + r with |r| <= ln 2 / 2
    let shifted = x.mul_add(L::splat(std::f32::consts::LOG2_E), round);
    let n = round.sub(shifted);
    let r = n.mul_add(L::splat(LN_2_HIGH), x);
    let r = n.mul_add(L::splat(LN_2_LOW), r);
    // Cephes, expf.c: e^r = 1 + r + r² · p(r)
    let p = L::splat(1.987_569_1e-4);
    let p = p.mul_add(r, L::splat(1.398_199_9e-3));
    let p = p.mul_add(r, L::splat(8.333_452e-3));
    let p = p.mul_add(r, L::splat(4.166_579_6e-2));
    let p = p.mul_add(r, L::splat(1.666_666_5e-1));
    let p = p.mul_add(r, L::splat(0.5));
    let power = p.mul_add(r.mul(r), r).add(L::splat(1.0));
    power.mul(shifted.power_of_two())
}

/// From this magnitude on, the error function is computed as `1 - e^q(|x|)`.
const ERF_BREAK: f32 = 0.927_734_4;

/// The error function, within 2e-7.
#[inline(always)]
pub(crate) fn erf<L: Lanes>(x: L) -> L {
    let t = x.abs();
    let s = x.mul(x);
    // Minimax polynomials of N. Juffa (public domain), one for each side of the break.
    let q = L::splat(-1.728_534_7e-5).mul_add(t, L::splat(3.831_972e-4));
    let u = L::splat(-3.883_964_4e-3).mul_add(t, L::splat(2.425_462_2e-2));
    let q = q.mul_add(s, u);
    let q = q.mul_add(t, L::splat(-1.067_778_8e-1));
    let q = q.mul_add(t, L::splat(-6.348_467e-1));
    let q = q.mul_add(t, L::splat(-1.287_175_1e-1));
    let q = q.mul_add(t, L::splat(0.0).sub(t));
    let outer = L::splat(1.0).sub(exp(q)).with_sign_of(x);

    let p = L::splat(-5.967_617e-4);
    let p = p.mul_add(s, L::splat(4.991_194_2e-3));
    let p = p.mul_add(s, L::splat(-2.676_813_5e-2));
    let p = p.mul_add(s, L::splat(1.128_199_3e-1));
    let p = p.mul_add(s, L::splat(-3.761_253_4e-1));
    let p = p.mul_add(s, L::splat(1.283_791_7e-1));
    let inner = p.mul_add(x, x);
    t.if_greater(L::splat(ERF_BREAK), outer, inner)
}

/// `x · (1 + erf(x / √2)) / 2`.
#[inline(always)]
pub(crate) fn gelu<L: Lanes>(x: L) -> L {
    let erf = erf(x.mul(L::splat(std::f32::consts::FRAC_1_SQRT_2)));
    let half = x.mul(L::splat(0.5));
    half.mul_add(erf, half)
}

/// The hyperbolic tangent, within 2e-7.
#[inline(always)]
pub(crate) fn tanh<L: Lanes>(x: L) -> L {
    let one = L::splat(1.0);
    let t = exp(x.abs().mul(L::splat(-2.0)));
    one.sub(t).div(one.add(t)).with_sign_of(x)
}

/// The sum of the lanes: the halves are added until one lane is left.
#[inline(always)]
pub(crate) fn sum(lanes: [f32; LANES]) -> f32 {
    let mut sums = lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

/// The dot product of two slices of equal length: lane `i` has the chain of the elements `i`, `i + 16`,
/// ..., padded with zeros.
#[inline(always)]
pub(crate) fn dot<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = L::splat(0.0);
    let (a, rest_of_a) = a.as_chunks();
    let (b, rest_of_b) = b.as_chunks();
    for (a, b) in a.iter().zip(b) {
        lanes = L::load(a).mul_add(L::load(b), lanes);
    }
    let (mut last_a, mut last_b) = ([0.0; LANES], [0.0; LANES]);
    last_a[..rest_of_a.len()].copy_from_slice(rest_of_a);
    last_b[..rest_of_b.len()].copy_from_slice(rest_of_b);
    lanes = L::load(&last_a).mul_add(L::load(&last_b), lanes);
    sum(lanes.to_array())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::portable::Portable;

    fn of(function: impl Fn(Portable) -> Portable, x: f32) -> f64 {
        f64::from(function(Portable::splat(x)).to_array()[0])
    }

    /// The Maclaurin series of the error function, with the terms in an order that does not cancel:
    /// `2/√π · e^(-x²) · Σ 2^n x^(2n+1) / (2n+1)!!`.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..400 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
    }

    fn grid(least: f32, most: f32) -> impl Iterator<Item = f32> {
        (0..=100_000).map(move |step| least + (most - least) * step as f32 / 100_000.0)
    }

    #[test]
    fn exp_is_within_its_error() {
        for x in grid(-87.0, 88.0) {
            let exact = f64::from(x).exp();
            let error = (of(exp, x) - exact).abs() / exact;
            assert!(error < 1.2 * f64::from(f32::EPSILON), "exp({x}): {error:e}");
        }
        assert_eq!(of(exp, 0.0), 1.0);
        assert_eq!(of(exp, -1e30), of(exp, -87.0));
        assert_eq!(of(exp, f32::NEG_INFINITY), of(exp, -87.0));
        assert_eq!(of(exp, f32::INFINITY), of(exp, 88.0));
    }

    #[test]
    fn erf_is_within_its_error() {
        for x in grid(-5.0, 5.0) {
            let error = (of(erf, x) - exact_erf(f64::from(x))).abs();
            assert!(error < 2e-7, "erf({x}): {error:e}");
        }
        for x in [6.0, 9.0, 15.0, 30.0, 1e10, f32::INFINITY] {
            assert_eq!((of(erf, x), of(erf, -x)), (1.0, -1.0), "{x}");
        }
    }

    #[test]
    fn gelu_is_within_its_error() {
        for x in grid(-8.0, 8.0) {
            let exact = f64::from(x) * (1.0 + exact_erf(f64::from(x) * 0.5_f64.sqrt())) / 2.0;
            let error = (of(gelu, x) - exact).abs();
            assert!(error < 2e-7 * f64::from(x.abs().max(1.0)), "{x}: {error:e}");
        }
    }

    #[test]
    fn tanh_is_within_its_error() {
        for x in grid(-12.0, 12.0) {
            let error = (of(tanh, x) - f64::from(x).tanh()).abs();
            assert!(error < 2e-7, "tanh({x}): {error:e}");
        }
    }

    #[test]
    fn lanes_are_summed_in_a_fixed_tree() {
        let mut lanes = [1.0; LANES];
        // f32 cannot represent 2^24 + 1: the additions that lose it reveal the order.
        lanes[0] = 16_777_216.0;
        lanes[8] = -16_777_216.0;
        assert_eq!(sum(lanes), 14.0);
        lanes.swap(8, 4);
        assert_eq!(sum(lanes), 13.0);
    }
}
