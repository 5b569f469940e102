//! What is done for the transactions of a block before their turns come: on all processors.

use cosmos_sdk_proto::cosmos::tx::v1beta1::TxRaw;
use prost::Message as _;
use rayon::prelude::*;

use super::decode::decode;
use super::signature::Verifier;
use crate::error::Result;
use crate::execution::BlockContext;
use crate::store::State;

/// Verifies the signatures of a block that the verifier does not remember, so that it does when the
/// transactions' turns come.
///
/// What a signature is over depends on its signer's account, too, which is taken as it is before the
/// block. A signature that does not fit it is verified again when its turn comes, with the account
/// as it is then: so this changes no result.
pub fn verify_ahead(
    txs: &[impl AsRef<[u8]> + Sync],
    state: &State,
    block: &BlockContext,
    verifier: &Verifier,
) {
    txs.par_iter().for_each_init(state.readers(), |before, tx| {
        if let Err(reason) = verify(tx.as_ref(), before, block, verifier) {
            tracing::debug!(%reason, "a transaction cannot be verified ahead");
        }
    });
}

fn verify(tx: &[u8], before: &State, block: &BlockContext, verifier: &Verifier) -> Result<()> {
    let is_remembered = |raw: TxRaw| raw.signatures.iter().all(|found| verifier.remembers(found));
    if TxRaw::decode(tx).is_ok_and(is_remembered) {
        return Ok(());
    }
    decode(tx, &block.params)?.verify_ahead(before, block, verifier)
}
