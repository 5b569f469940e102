//! Means with confidence intervals over seeds, and measures of agreement.

pub mod agreement;
pub mod bootstrap;
pub mod isotonic;

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean over independent samples with its 95 % confidence interval (Student's t).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval; infinite for fewer than two samples.
    #[serde(serialize_with = "finite")]
    pub margin: f64,
    /// Number of samples.
    pub samples: usize,
}

impl Estimate {
    /// The mean of `samples`; 0 if there are none.
    pub fn of(samples: &[f64]) -> Self {
        let count = samples.len();
        let mean = samples.iter().sum::<f64>() / count.max(1) as f64;
        Self {
            mean,
            margin: margin(samples, mean),
            samples: count,
        }
    }

    /// The mean of `one − other`, seed by seed.
    pub fn of_difference(one: &[f64], other: &[f64]) -> Self {
        let differences: Vec<f64> = one
            .iter()
            .zip(other)
            .map(|(one, other)| one - other)
            .collect();
        Self::of(&differences)
    }

    /// Whether the whole interval is below 0.
    pub fn is_below_zero(&self) -> bool {
        self.mean + self.margin < 0.0
    }

    /// Whether the whole interval is above 0.
    pub fn is_above_zero(&self) -> bool {
        self.mean - self.margin > 0.0
    }
}

fn margin(samples: &[f64], mean: f64) -> f64 {
    let freedom = samples.len() as f64 - 1.0;
    let Ok(student) = StudentsT::new(0.0, 1.0, freedom) else {
        return f64::INFINITY;
    };
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    let error = (squares / freedom / samples.len() as f64).sqrt();
    student.inverse_cdf(0.975) * error
}

/// JSON has no infinity: an unknown margin is null.
fn finite<S: serde::Serializer>(margin: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    margin.is_finite().then_some(*margin).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_students_t() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0]);
        // t(0.975, 3) = 3.1824, standard error 0.6455.
        assert_eq!((estimate.mean, estimate.samples), (2.5, 4));
        assert!((estimate.margin - 2.0543).abs() < 1e-3, "{estimate:?}");
    }

    #[test]
    fn one_sample_proves_nothing() {
        let estimate = Estimate::of(&[-5.0]);
        assert!(!estimate.is_below_zero() && !estimate.is_above_zero());
        assert_eq!(
            serde_json::to_value(estimate).unwrap()["margin"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn differences_are_paired() {
        let estimate = Estimate::of_difference(&[10.0, 20.0, 30.0], &[11.0, 21.1, 30.9]);
        assert!(estimate.is_below_zero(), "{estimate:?}");
    }
}
