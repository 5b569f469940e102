//! Messages with several items, each of which succeeds or fails on its own.

use poq_proto::code;
use prost::Message;

use crate::error::{Result, ensure};
use crate::execution::Execution;

/// Runs the items one by one, and returns a code for each: 0 for success. The message succeeds if any
/// item does; otherwise it fails with the error of the first item. An item is a number, of a task or
/// a session, and what is done with it.
pub(crate) fn run_batch<T: Message>(
    ctx: &mut Execution<'_>,
    items: Vec<(u64, T)>,
    mut run: impl FnMut(&mut Execution<'_>, u64, T) -> Result<()>,
) -> Result<Vec<(u64, u32)>> {
    let limit = ctx.block.params.max_batch_items as usize;
    ensure!(
        (1..=limit).contains(&items.len()),
        code::INVALID_BATCH,
        "a batch has 1 to {limit} items, got {}",
        items.len()
    );
    let mut results = Vec::with_capacity(items.len());
    let mut first_failure = None;
    for (number, item) in items {
        let bytes = item.encoded_len();
        let code = match ctx.attempt(|ctx| run(ctx, number, item)) {
            Ok(()) => 0,
            Err(error) => {
                let Some(code) = error.code() else {
                    return Err(error);
                };
                first_failure.get_or_insert(error);
                code.number
            }
        };
        ctx.items.count(bytes, code == 0);
        results.push((number, code));
    }
    match first_failure {
        Some(failure) if results.iter().all(|(_, code)| *code != 0) => Err(failure),
        _ => Ok(results),
    }
}
