//! How calls are refused.

use poq_client::session::{Refusal, RefusalCode};

use super::log::Fault;

/// A refusal without a number.
pub(super) fn refusal(code: RefusalCode, message: impl Into<String>) -> Refusal {
    Refusal {
        code,
        message: message.into(),
        next: None,
    }
}

/// The call has not the right form.
pub(super) fn malformed(message: impl Into<String>) -> Refusal {
    refusal(RefusalCode::Malformed, message)
}

/// The session takes no more orders.
pub(super) fn closed() -> Refusal {
    refusal(
        RefusalCode::Closed,
        "the session takes no more orders: use another one",
    )
}

/// No order has this number.
pub(super) fn unknown_order() -> Refusal {
    refusal(RefusalCode::NotFound, "this node has no such order")
}

/// A failure of the node itself.
pub(super) fn failed() -> Refusal {
    refusal(
        RefusalCode::Failed,
        "this node has failed: use another session",
    )
}

/// The refusal of a voucher.
pub(super) fn refused(fault: Fault) -> Refusal {
    let (code, next) = match fault {
        Fault::Number { next } => (RefusalCode::WrongNumber, Some(next)),
        Fault::Log { .. } => (RefusalCode::WrongLog, None),
        Fault::Price { .. } => (RefusalCode::Price, None),
        Fault::Authorized { .. } | Fault::Escrow { .. } => (RefusalCode::Escrow, None),
        Fault::Full { .. } => (RefusalCode::Closed, None),
        Fault::Window { .. } => (RefusalCode::Busy, None),
    };
    Refusal {
        code,
        message: fault.to_string(),
        next,
    }
}
