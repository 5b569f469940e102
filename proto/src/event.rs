//! Names of events and attributes. All attributes are indexed, so that CometBFT's `tx_search`,
//! `block_search` and `subscribe` find tasks by id, user and node.
//!
//! Events of a transaction describe the sender's actions. Events of a block (from `FinalizeBlock`)
//! describe the chain's own actions at the block's beginning and end.

/// A task was accepted; attributes `task user model`.
pub const TASK_SUBMITTED: &str = "poq_task_submitted";
/// An inference node was drawn; attributes `task user node attempt due_height`.
pub const TASK_ASSIGNED: &str = "poq_task_assigned";
/// An answer was accepted; attributes `task user node`.
pub const TASK_ANSWERED: &str = "poq_task_answered";
/// A committee seat was drawn, one event per seat; attributes `task user node attempt due_height`.
pub const TASK_SEATED: &str = "poq_task_seated";
/// A commitment was accepted; attributes `task user node`.
pub const TASK_COMMITTED: &str = "poq_task_committed";
/// The reveal phase opened; attributes `task user attempt due_height`.
pub const TASK_REVEALING: &str = "poq_task_revealing";
/// A score was revealed; attributes `task user node raw_score quality`.
pub const TASK_REVEALED: &str = "poq_task_revealed";
/// The quality is known; attributes `task user quality price final_height`.
pub const TASK_SETTLED: &str = "poq_task_settled";
/// The scores of a task were challenged; attributes `task user challenger amount`, the amount being the
/// deposit.
pub const TASK_CHALLENGED: &str = "poq_task_challenged";
/// An audit was drawn or forced by a challenge; attributes `task user reason due_height`.
pub const AUDIT_SCHEDULED: &str = "poq_audit_scheduled";
/// The scores of a task were audited; attributes `task user quality settled_quality penalties`.
pub const TASK_AUDITED: &str = "poq_task_audited";
/// A challenge ended; attributes `task challenger amount reward`, the amount being the returned part of
/// the deposit.
pub const CHALLENGE_ENDED: &str = "poq_challenge_ended";
/// A task was paid out; attributes `task user quality`.
pub const TASK_FINAL: &str = "poq_task_final";
/// A task was refunded by the chain or cancelled by its user; attributes `task user reason`.
pub const TASK_REFUNDED: &str = "poq_task_refunded";
/// A bug keeps a task from its next phase; attribute `task`.
pub const TASK_SET_ASIDE: &str = "poq_task_set_aside";
/// Sessions were opened, one event per session; attributes `session user model`.
pub const SESSION_OPENED: &str = "poq_session_opened";
/// The node of a session was drawn; attributes `session user node due_height`.
pub const SESSION_DRAWN: &str = "poq_session_drawn";
/// A session takes no more orders; attributes `session user node due_height`.
pub const SESSION_CLOSING: &str = "poq_session_closing";
/// A session was settled; attributes `session user node amount`.
pub const SESSION_SETTLED: &str = "poq_session_settled";
/// The leaves to reveal were drawn; attributes `session user node due_height`.
pub const SESSION_SAMPLED: &str = "poq_session_sampled";
/// A drawn leaf was revealed; attributes `session user node number`, and `task` if a task scores it.
pub const LEAF_REVEALED: &str = "poq_leaf_revealed";
/// A session was paid out; attributes `session user node amount price`: the amount is the node's, the
/// price that of all answers.
pub const SESSION_FINAL: &str = "poq_session_final";
/// A session ended without a settlement; attributes `session user reason`.
pub const SESSION_REFUNDED: &str = "poq_session_refunded";
/// A bug keeps a session from its next phase; attribute `session`.
pub const SESSION_SET_ASIDE: &str = "poq_session_set_aside";
/// A node was paid; attributes `task node payout amount`, or `session` in place of `task`.
pub const NODE_PAID: &str = "poq_node_paid";
/// A node lost stake; attributes `task node role amount reason`, or `session` in place of `task`.
pub const NODE_SLASHED: &str = "poq_node_slashed";
/// A node missed a duty; attributes `task node role reason`, or `session` in place of `task`.
pub const DUTY_MISSED: &str = "poq_duty_missed";
/// A node was registered; attributes `node role stake`.
pub const NODE_REGISTERED: &str = "poq_node_registered";
/// An operator changed its node's declared fields; attributes `node role`.
pub const NODE_UPDATED: &str = "poq_node_updated";
/// A node was jailed; attributes `node role jailed_until reason`.
pub const NODE_JAILED: &str = "poq_node_jailed";
/// A node was unjailed; attributes `node role`.
pub const NODE_UNJAILED: &str = "poq_node_unjailed";
/// Stake was added; attributes `node role amount stake`.
pub const STAKE_ADDED: &str = "poq_stake_added";
/// Stake began to unbond; attributes `node role amount release_height`.
pub const STAKE_UNBONDING: &str = "poq_stake_unbonding";
/// Stake was paid back; attributes `node role amount`.
pub const STAKE_RELEASED: &str = "poq_stake_released";
/// A validator was registered; attributes `node stake`.
pub const VALIDATOR_REGISTERED: &str = "poq_validator_registered";
/// A validator's voting power changed; attributes `node power`.
pub const VALIDATOR_POWER: &str = "poq_validator_power";
/// A validator received its part of the fees; attributes `node payout amount`.
pub const VALIDATOR_PAID: &str = "poq_validator_paid";
/// A validator lost stake; attributes `node amount reason`.
pub const VALIDATOR_SLASHED: &str = "poq_validator_slashed";
/// A validator set its VRF key; attributes `node effective_height`.
pub const VRF_KEY_SET: &str = "poq_vrf_key_set";
/// The height of the first vote extensions was set; attribute `effective_height`.
pub const EXTENSIONS_ENABLED: &str = "poq_vote_extensions_enabled";
/// A language model's registry entry was set; attribute `model`.
pub const MODEL_SET: &str = "poq_model_set";
/// An evaluator model's registry entry was set; attribute `model`.
pub const EVALUATOR_MODEL_SET: &str = "poq_evaluator_model_set";
/// The parameters of the next block were set; no attributes.
pub const PARAMS_UPDATED: &str = "poq_params_updated";

/// Task id, decimal.
pub const TASK: &str = "task";
/// Session id, decimal.
pub const SESSION: &str = "session";
/// Position of a leaf in the log of its session, from 0.
pub const NUMBER: &str = "number";
/// The user of the task or session.
pub const USER: &str = "user";
/// Id of a model or of an evaluator model.
pub const MODEL: &str = "model";
/// Operator address of a node or validator.
pub const NODE: &str = "node";
/// `inference`, `evaluator` or `validator`.
pub const ROLE: &str = "role";
/// Number of the draw for the task and role, from 0.
pub const ATTEMPT: &str = "attempt";
/// The phase closes at the end of this height.
pub const DUE_HEIGHT: &str = "due_height";
/// The task is paid at the end of this height.
pub const FINAL_HEIGHT: &str = "final_height";
/// Micro-logits.
pub const RAW_SCORE: &str = "raw_score";
/// Parts per million.
pub const QUALITY: &str = "quality";
/// Quality before an audit, parts per million.
pub const SETTLED_QUALITY: &str = "settled_quality";
/// Number of evaluators that an audit punished.
pub const PENALTIES: &str = "penalties";
/// Account that challenged a task.
pub const CHALLENGER: &str = "challenger";
/// Base units of the fee denom, for a challenger.
pub const REWARD: &str = "reward";
/// Base units of the fee denom.
pub const PRICE: &str = "price";
/// Base units of the fee denom.
pub const AMOUNT: &str = "amount";
/// Base units of the fee denom.
pub const STAKE: &str = "stake";
/// Account that was paid.
pub const PAYOUT: &str = "payout";
/// Voting power in CometBFT.
pub const POWER: &str = "power";
/// First height at which a node may be unjailed.
pub const JAILED_UNTIL: &str = "jailed_until";
/// Stake is paid back at the end of this height.
pub const RELEASE_HEIGHT: &str = "release_height";
/// First height at which the change applies.
pub const EFFECTIVE_HEIGHT: &str = "effective_height";
/// The reason, in snake case.
pub const REASON: &str = "reason";
