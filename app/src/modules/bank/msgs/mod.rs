//! One file per message, with the message's name.

mod multi_send;
mod send;

pub use multi_send::{multi_send, payer};
pub use send::send;

use poq_proto::code;

use crate::address::{Address, PROTOCOL_ACCOUNT};
use crate::error::{Result, ensure};
use crate::execution::Execution;

/// Refuses a transfer to a module's account: nobody has its key, so the coins would be lost.
fn refuse_module(to: &Address) -> Result<()> {
    ensure!(
        !to.is_of_module(PROTOCOL_ACCOUNT),
        code::UNAUTHORIZED,
        "{to} is the protocol's own account, which takes no transfers"
    );
    Ok(())
}

fn emit_spent(ctx: &mut Execution<'_>, from: &Address, denom: &str, amount: u128) {
    let coin = format!("{amount}{denom}");
    ctx.emit("coin_spent", &[("spender", from), ("amount", &coin)]);
}

fn emit_transfer(ctx: &mut Execution<'_>, from: &Address, to: &Address, denom: &str, amount: u128) {
    let coin = format!("{amount}{denom}");
    ctx.emit("coin_received", &[("receiver", to), ("amount", &coin)]);
    ctx.emit(
        "transfer",
        &[("sender", from), ("recipient", to), ("amount", &coin)],
    );
}
