//! Stable result codes. The codespace `sdk` has the Cosmos SDK's codes on which clients rely; all others
//! are in the codespace `poq`. A code never changes its meaning.

/// Codespace of the Cosmos SDK's codes.
pub const SDK: &str = "sdk";
/// Codespace of this chain's own codes.
pub const POQ: &str = "poq";

/// Codes of queries for what does not exist.
pub const ABSENT: &[Code] = &[
    NOT_FOUND,
    UNKNOWN_ADDRESS,
    UNKNOWN_TASK,
    UNKNOWN_SESSION,
    UNKNOWN_MODEL,
    UNKNOWN_EVALUATOR_MODEL,
    NOT_REGISTERED,
];

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:expr, $space:ident;)*) => {
        $($(#[$doc])* pub const $name: Code = Code { number: $number, codespace: $space };)*
        /// Every code, for tests and documentation.
        pub const ALL: &[(&str, Code)] = &[$((stringify!($name), $name)),*];
    };
}

/// A result code within its codespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code {
    /// Never 0, which means success.
    pub number: u32,
    /// `sdk` or `poq`.
    pub codespace: &'static str,
}

codes! {
    /// The bytes are not a strict, canonical transaction.
    TX_DECODE = 2, SDK;
    /// The signature or the signer is wrong.
    UNAUTHORIZED = 4, SDK;
    /// A balance is too small.
    INSUFFICIENT_FUNDS = 5, SDK;
    /// The chain does not know the message or query.
    UNKNOWN_REQUEST = 6, SDK;
    /// The address is not a bech32 account address of this chain.
    INVALID_ADDRESS = 7, SDK;
    /// The signer's key is missing or of another type.
    INVALID_PUBKEY = 8, SDK;
    /// The account does not exist.
    UNKNOWN_ADDRESS = 9, SDK;
    /// The amount or denom is invalid.
    INVALID_COINS = 10, SDK;
    /// The gas limit is below what the transaction needs.
    OUT_OF_GAS = 11, SDK;
    /// The memo is too long.
    MEMO_TOO_LARGE = 12, SDK;
    /// The fee is below gas limit times gas price.
    INSUFFICIENT_FEE = 13, SDK;
    /// The transaction has too many signers.
    TOO_MANY_SIGNATURES = 14, SDK;
    /// The transaction has no signatures.
    NO_SIGNATURES = 15, SDK;
    /// A field of a message is out of its range.
    INVALID_REQUEST = 18, SDK;
    /// The mempool already has this transaction.
    TX_IN_MEMPOOL = 19, SDK;
    /// The mempool is full.
    MEMPOOL_FULL = 20, SDK;
    /// The transaction is larger than allowed.
    TX_TOO_LARGE = 21, SDK;
    /// A queried item does not exist.
    NOT_FOUND = 22, SDK;
    /// The chain has no block yet, so there is no state to query.
    NO_BLOCK = 26, SDK;
    /// The timeout height has passed.
    TIMEOUT_HEIGHT = 30, SDK;
    /// "account sequence mismatch, expected E, got G".
    WRONG_SEQUENCE = 32, SDK;
    /// An invariant of the application is broken; a bug.
    INTERNAL = 35, SDK;

    /// The task does not exist.
    UNKNOWN_TASK = 101, POQ;
    /// The model does not exist.
    UNKNOWN_MODEL = 102, POQ;
    /// The evaluator model does not exist.
    UNKNOWN_EVALUATOR_MODEL = 103, POQ;
    /// The account is not registered in the role.
    NOT_REGISTERED = 104, POQ;
    /// The account is registered in the role already.
    ALREADY_REGISTERED = 105, POQ;
    /// The payout account belongs to another node of the role.
    PAYOUT_TAKEN = 106, POQ;
    /// The stake is below the minimum.
    STAKE_TOO_LOW = 107, POQ;
    /// The task is not assigned to the sender.
    NOT_ASSIGNED = 108, POQ;
    /// The task is not in the phase that the message is for.
    WRONG_PHASE = 109, POQ;
    /// The sender has done this duty already.
    DUPLICATE = 110, POQ;
    /// The answer is longer than the task allows.
    ANSWER_TOO_LONG = 111, POQ;
    /// The revealed score and salt do not open the commitment.
    REVEAL_MISMATCH = 112, POQ;
    /// The evaluator did not commit to the revealed score.
    NO_COMMITMENT = 113, POQ;
    /// The escrow is below the price of the longest allowed answer.
    FEE_BELOW_PRICE = 114, POQ;
    /// The prompt is empty or too long.
    INVALID_PROMPT = 115, POQ;
    /// The user has too many open tasks.
    TOO_MANY_OPEN_TASKS = 116, POQ;
    /// A batch is empty or too long.
    INVALID_BATCH = 117, POQ;
    /// No active inference node or too few evaluators serve the model.
    NO_NODES = 118, POQ;

    /// The task could cost more than the stakes of its committee secure.
    PRICE_TOO_HIGH = 130, POQ;
    /// The model takes no new tasks, nodes or references.
    MODEL_DEPRECATED = 131, POQ;
    /// The node is leaving; it can only do its open duties.
    NODE_LEAVING = 132, POQ;
    /// The node is not jailed.
    NOT_JAILED = 133, POQ;
    /// The time in jail is not over.
    JAIL_NOT_OVER = 134, POQ;
    /// The operator has too many pending unbondings.
    TOO_MANY_UNBONDINGS = 135, POQ;
    /// The consensus key belongs to another validator.
    KEY_TAKEN = 136, POQ;
    /// The validator is tombstoned.
    TOMBSTONED = 137, POQ;
    /// The change would leave no validator with voting power.
    LAST_VALIDATOR = 138, POQ;
    /// The task has its answer already, so it cannot be cancelled.
    ALREADY_ANSWERED = 140, POQ;
    /// The task is over.
    TASK_OVER = 141, POQ;
    /// The account is not the task's user.
    NOT_THE_USER = 142, POQ;
    /// Most items of a duty transaction, which is free, would fail.
    MOSTLY_FAILING = 143, POQ;
    /// The scores of the task are being audited or were audited.
    ALREADY_AUDITED = 144, POQ;
    /// The deposit of a challenge is below the minimum.
    DEPOSIT_TOO_SMALL = 145, POQ;
    /// The window in which the task could be challenged is over.
    CHALLENGE_TOO_LATE = 146, POQ;
    /// The limit of challenges that wait for an audit is reached.
    TOO_MANY_CHALLENGES = 147, POQ;

    /// The VRF key has a wrong length, is not canonical, or is the neutral point.
    INVALID_VRF_KEY = 150, POQ;
    /// The validator's last change of its VRF key is not effective yet.
    VRF_KEY_PENDING = 151, POQ;
    /// A validator with power would have no VRF key, but votes carry VRF outputs.
    NO_VRF_KEY = 152, POQ;
    /// Vote extensions are enabled already.
    EXTENSIONS_ENABLED = 153, POQ;
    /// Vote extensions cannot begin at this height.
    INVALID_ENABLE_HEIGHT = 154, POQ;
    /// The vote extension is not the validator's VRF output for this height.
    INVALID_VOTE_EXTENSION = 155, POQ;
    /// A block's VRF outputs are missing, misplaced or wrong.
    INVALID_VOTE_OUTPUTS = 156, POQ;
    /// `MsgVoteOutputs` is not a transaction: only proposers add it to blocks.
    NOT_A_TRANSACTION = 157, POQ;

    /// The session does not exist.
    UNKNOWN_SESSION = 160, POQ;
    /// The chain has no sessions yet.
    SESSIONS_DISABLED = 161, POQ;
    /// The user has too many open sessions.
    TOO_MANY_OPEN_SESSIONS = 162, POQ;
    /// The key is not a compressed point of secp256k1.
    INVALID_KEY = 163, POQ;
    /// The address, key or certificate digest of a node's sessions has the wrong form.
    INVALID_STREAM = 164, POQ;
    /// The session is not in the phase that the message is for.
    WRONG_SESSION_PHASE = 165, POQ;
    /// The voucher is malformed, or its signature is not the session key's.
    INVALID_VOUCHER = 166, POQ;
    /// The settlement exceeds what the voucher authorizes or what the session holds.
    SETTLEMENT_TOO_HIGH = 167, POQ;
    /// The leaf is not in the session's log.
    NOT_IN_LOG = 168, POQ;
    /// The leaf is not drawn.
    NOT_DRAWN = 169, POQ;
    /// The leaf does not match its chat, its answer or its price.
    INVALID_LEAF = 170, POQ;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique() {
        let mut numbers: Vec<_> = ALL.iter().map(|(_, code)| code.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ALL.len());
    }
}
