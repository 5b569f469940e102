use crate::PPM;
use crate::v1::{Model, Params, Terms};

impl Terms {
    /// The price of an answer, base units: `base + per_prompt_byte · |prompt| + per_answer_byte ·
    /// |answer|`, saturating: an amount that nobody can escrow remains one.
    pub fn price(&self, prompt_bytes: u64, answer_bytes: u64) -> u64 {
        self.base_price
            .saturating_add(self.price_per_prompt_byte.saturating_mul(prompt_bytes))
            .saturating_add(self.price_per_answer_byte.saturating_mul(answer_bytes))
    }

    /// The part of its full share that a node delivers with an answer of this quality, ppm: 0 at or below
    /// the floor, 1 from the target on, linear between (protocol section 9). The outcome that enters the
    /// node's reputation.
    pub fn delivered_part(&self, quality: u32) -> u64 {
        let (floor, target) = (self.quality_floor, self.quality_target);
        if quality <= floor {
            return 0;
        }
        if quality >= target {
            return PPM;
        }
        let above = u64::from(quality.saturating_sub(floor));
        let range = u64::from(target.saturating_sub(floor));
        // Below 2^20 times 2^32.
        PPM.saturating_mul(above).checked_div(range).unwrap_or(PPM)
    }

    /// The part that the node earns, ppm: what it delivers, and half of that below the user's
    /// `min_quality` (ADR 34).
    pub fn earned_part(&self, min_quality: u32, quality: u32) -> u64 {
        let delivered = self.delivered_part(quality);
        match quality < min_quality {
            true => delivered / 2,
            false => delivered,
        }
    }
}

impl Model {
    /// The values by which answers of the model are paid.
    pub fn terms(&self) -> Terms {
        Terms {
            base_price: self.base_price,
            price_per_prompt_byte: self.price_per_prompt_byte,
            price_per_answer_byte: self.price_per_answer_byte,
            quality_floor: self.quality_floor,
            quality_target: self.quality_target,
        }
    }

    /// The longest prompt for the model, bytes: its own limit if it has one, and never more than the chain's.
    pub fn longest_prompt(&self, params: &Params) -> u32 {
        match self.max_prompt_bytes {
            0 => params.max_prompt_bytes,
            own => own.min(params.max_prompt_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_exact_or_the_highest_number() {
        let terms = Terms {
            base_price: 1_000,
            price_per_prompt_byte: 2,
            price_per_answer_byte: 10,
            ..Terms::default()
        };
        assert_eq!(terms.price(100, 50), 1_700);
        assert_eq!(terms.price(u64::MAX, 0), u64::MAX);
        assert_eq!(terms.price(0, u64::MAX), u64::MAX);
    }

    #[test]
    fn half_way_between_floor_and_target_earns_half() {
        let terms = Terms {
            quality_floor: 200_000,
            quality_target: 700_000,
            ..Terms::default()
        };
        for (quality, part) in [
            (0, 0),
            (200_000, 0),
            (200_001, 2),
            (450_000, 500_000),
            (699_999, 999_998),
            (700_000, PPM),
            (u32::MAX, PPM),
        ] {
            assert_eq!(terms.earned_part(0, quality), part, "{quality}");
        }
        assert_eq!(terms.earned_part(450_001, 450_000), 250_000);
        assert_eq!(terms.delivered_part(450_000), 500_000);
        let strange = Terms {
            quality_floor: u32::MAX,
            ..terms
        };
        assert_eq!(strange.earned_part(0, 800_000), 0);
    }
}
