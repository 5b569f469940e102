//! The VRF outputs of validators' votes, which every block of a usual chain needs.

use poq_app::modules::beacon::{ExtendedVote, Input, Secret, encode};
use poq_proto::v1::{MsgVoteOutputs, QueryBeaconRequest, QueryBeaconResponse, VoteOutput};

use super::{CHAIN_ID, Chain, Wallet};

/// The secret of a validator's outputs.
pub(crate) fn secret(wallet: &Wallet) -> Secret {
    Secret::from_seed(&wallet.consensus_key()).unwrap()
}

impl Chain {
    /// The extensions of the votes for the last block: an output per validator in `votes`, by
    /// address. None in a chain without outputs, and before the first vote with one.
    pub(crate) fn extensions(&self) -> Vec<ExtendedVote> {
        if !self.extends || self.height == 0 {
            return Vec::new();
        }
        let extended = |vote: &poq_app::modules::validators::Vote| {
            let address = vote.address.clone();
            let everybody = self
                .validators
                .iter()
                .chain(&self.inference)
                .chain(&self.evaluators);
            let wallet = everybody
                .into_iter()
                .find(|wallet| super::vote(wallet, 1).address == address)
                .unwrap();
            let input = Input {
                chain_id: CHAIN_ID,
                height: self.height,
                previous: self.previous_beacon,
                validator: &address,
            };
            let extension = secret(wallet).extension(&input).to_vec();
            ExtendedVote { address, extension }
        };
        let mut votes: Vec<_> = self.votes.iter().map(extended).collect();
        votes.sort_by(|one, other| one.address.cmp(&other.address));
        votes
    }

    /// The entries of the next block: the outputs that are due, then the transactions.
    pub(crate) fn carrying(&self, txs: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let extensions = self.extensions();
        if extensions.is_empty() {
            return txs.to_vec();
        }
        let outputs = extensions.into_iter().map(|vote| VoteOutput {
            validator: vote.address,
            extension: vote.extension,
        });
        let outputs = MsgVoteOutputs {
            outputs: outputs.collect(),
        };
        let mut entries = vec![encode(&outputs)];
        entries.extend_from_slice(txs);
        entries
    }

    pub(super) fn beacon(&self) -> [u8; 32] {
        let answer: QueryBeaconResponse =
            self.query("/poq.v1.Query/Beacon", &QueryBeaconRequest {});
        answer.beacon.try_into().unwrap()
    }
}
