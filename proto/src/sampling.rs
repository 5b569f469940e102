use std::ops::RangeInclusive;

use crate::PPM;
use crate::v1::Sampling;

/// ppm.
const MAX_TEMPERATURE: u32 = 2_000_000;
/// ppm.
const REPETITION_PENALTIES: RangeInclusive<u32> = 1_000_000..=2_000_000;

impl Sampling {
    /// Checks the ranges of all settings, for tasks and for chats.
    ///
    /// # Errors
    /// The first setting outside of its range, with the range, as a message.
    pub fn validate(&self) -> Result<(), String> {
        let (temperature, top_p) = (self.temperature(), self.top_p);
        if temperature > MAX_TEMPERATURE || u64::from(top_p) > PPM {
            return Err(format!(
                "temperature must be at most {MAX_TEMPERATURE} ppm and top_p at most {PPM} ppm, got {temperature} and {top_p}"
            ));
        }
        let penalty = self.repetition_penalty;
        // 0 leaves it to the node.
        if penalty != 0 && !REPETITION_PENALTIES.contains(&penalty) {
            return Err(format!(
                "repetition_penalty must be in {}..={} ppm or not set, got {penalty}",
                REPETITION_PENALTIES.start(),
                REPETITION_PENALTIES.end()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_its_range() {
        let good = Sampling {
            temperature: Some(MAX_TEMPERATURE),
            top_p: 1_000_000,
            repetition_penalty: 2_000_000,
            ..Sampling::default()
        };
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(Sampling::default().validate(), Ok(()));
        let wrong = |sampling: Sampling| sampling.validate().unwrap_err();
        let hot = wrong(Sampling {
            temperature: Some(MAX_TEMPERATURE + 1),
            ..good
        });
        assert!(hot.contains("got 2000001 and 1000000"), "{hot}");
        let wide = wrong(Sampling {
            top_p: 1_000_001,
            ..good
        });
        assert!(wide.contains("top_p"), "{wide}");
        for repetition_penalty in [1, 999_999, 2_000_001] {
            let error = wrong(Sampling {
                repetition_penalty,
                ..good
            });
            assert!(error.contains("1000000..=2000000"), "{error}");
        }
    }
}
