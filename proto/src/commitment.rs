use sha2::{Digest, Sha256};

/// Domain separator of score commitments.
pub const SCORE_COMMITMENT_DOMAIN: &[u8] = b"poq/score/v1";

/// The commitment to a score (protocol section 7):
/// `SHA-256(domain ‖ len(chain_id) ‖ chain_id ‖ task ‖ attempt ‖ evaluator ‖ raw_score ‖ salt)`.
///
/// Integers are big-endian, `len` is one `u64`. `evaluator` is the operator's 20-byte account
/// address; `attempt` counts the committees of the task from 0; `raw_score` is in micro-logits.
pub fn commitment(
    chain_id: &str,
    task: u64,
    attempt: u32,
    evaluator: &[u8],
    raw_score: i32,
    salt: &[u8; 32],
) -> [u8; 32] {
    Sha256::new()
        .chain_update(SCORE_COMMITMENT_DOMAIN)
        .chain_update((chain_id.len() as u64).to_be_bytes())
        .chain_update(chain_id)
        .chain_update(task.to_be_bytes())
        .chain_update(attempt.to_be_bytes())
        .chain_update(evaluator)
        .chain_update(raw_score.to_be_bytes())
        .chain_update(salt)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::commitment;

    #[test]
    fn every_field_is_bound() {
        let base = commitment("poq-1", 7, 0, &[1; 20], -5, &[2; 32]);
        let others = [
            commitment("poq-2", 7, 0, &[1; 20], -5, &[2; 32]),
            commitment("poq-1", 8, 0, &[1; 20], -5, &[2; 32]),
            commitment("poq-1", 7, 1, &[1; 20], -5, &[2; 32]),
            commitment("poq-1", 7, 0, &[3; 20], -5, &[2; 32]),
            commitment("poq-1", 7, 0, &[1; 20], 5, &[2; 32]),
            commitment("poq-1", 7, 0, &[1; 20], -5, &[4; 32]),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
