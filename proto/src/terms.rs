use crate::v1::{Model, Terms};

impl Terms {
    /// The price of an answer, base units: `base + per_prompt_byte · |prompt| + per_answer_byte ·
    /// |answer|`, saturating: an amount that nobody can escrow remains one.
    pub fn price(&self, prompt_bytes: u64, answer_bytes: u64) -> u64 {
        self.base_price
            .saturating_add(self.price_per_prompt_byte.saturating_mul(prompt_bytes))
            .saturating_add(self.price_per_answer_byte.saturating_mul(answer_bytes))
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
}
