use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgSend};
use poq_proto::code;
use poq_proto::v1::*;
use prost::Name;
use tendermint_proto::google::protobuf::Any;

use super::strict::strict;
use crate::error::{Result, reject};
use crate::execution::Execution;
use crate::modules::beacon;
use crate::modules::{audits, bank, models, nodes, params, sessions, stake, tasks, validators};

/// Gas of a message that moves or escrows money.
const TRANSFER_GAS: u64 = 20_000;
/// Gas of a message that registers something.
const REGISTER_GAS: u64 = 60_000;
/// Gas of a task, which the chain itself advances several times.
const TASK_GAS: u64 = 100_000;
/// Gas of one item of a batch of duties.
const DUTY_GAS: u64 = 10_000;

/// The signer of a message: the account in a field, or the result of a function.
macro_rules! signer {
    ($message:ident, ($find:path)) => {
        $find($message)
    };
    ($message:ident, $field:ident) => {
        &$message.$field
    };
}

/// Declares every message of the chain: its type, its signer, its gas, and its handler.
macro_rules! messages {
    ($($name:ident { signer: $signer:tt, gas: $gas:expr, run: $run:path })*) => {
        /// Every message that this chain executes.
        #[derive(Clone, Debug)]
        #[allow(clippy::enum_variant_names, clippy::large_enum_variant, missing_docs)]
        pub enum Message {
            $($name($name),)*
        }

        impl Message {
            /// Decodes the message that a type URL names.
            pub fn decode(type_url: &str, value: &[u8]) -> Result<Self> {
                $(if type_url == $name::type_url() {
                    return strict(value, type_url).map(Self::$name);
                })*
                reject!(code::UNKNOWN_REQUEST, "unknown message {type_url:?}")
            }

            /// The message's type URL.
            pub fn type_url(&self) -> String {
                match self {
                    $(Self::$name(_) => $name::type_url(),)*
                }
            }

            /// The account that must sign.
            pub fn signer(&self) -> &str {
                match self {
                    $(Self::$name(message) => signer!(message, $signer),)*
                }
            }

            /// The message's gas, besides its bytes.
            pub fn gas(&self) -> u64 {
                match self {
                    $(Self::$name(message) => {
                        let gas: fn(&$name) -> u64 = $gas;
                        gas(message)
                    })*
                }
            }

            /// Executes the message; the response is packed as in the Cosmos SDK.
            pub fn run(self, ctx: &mut Execution<'_>) -> Result<Any> {
                match self {
                    $(Self::$name(message) => $run(ctx, message).map(|response| pack(&response)),)*
                }
            }
        }
    };
}

messages! {
    MsgSend { signer: from_address, gas: |_| TRANSFER_GAS, run: bank::msgs::send }
    MsgMultiSend { signer: (bank::msgs::payer), gas: |m| each(TRANSFER_GAS, m.outputs.len()), run: bank::msgs::multi_send }
    MsgSubmitTask { signer: user, gas: |_| TASK_GAS, run: tasks::msgs::submit_task }
    MsgCancelTask { signer: user, gas: |_| TRANSFER_GAS, run: tasks::msgs::cancel_task }
    MsgSubmitAnswers { signer: operator, gas: |m| each(DUTY_GAS, m.items.len()), run: tasks::msgs::submit_answers }
    MsgCommitScores { signer: operator, gas: |m| each(DUTY_GAS, m.items.len()), run: tasks::msgs::commit_scores }
    MsgRevealScores { signer: operator, gas: |m| each(DUTY_GAS, m.items.len()), run: tasks::msgs::reveal_scores }
    MsgOpenSessions { signer: user, gas: |m| each(TASK_GAS, m.nodes as usize), run: sessions::msgs::open_sessions }
    MsgCloseSessions { signer: user, gas: |m| each(TRANSFER_GAS, m.sessions.len()), run: sessions::msgs::close_sessions }
    MsgSettleSessions { signer: operator, gas: |m| each(DUTY_GAS, m.items.len()), run: sessions::msgs::settle_sessions }
    MsgRevealLeaves { signer: operator, gas: |m| each(DUTY_GAS, m.items.len()), run: sessions::msgs::reveal_leaves }
    MsgRegisterInferenceNode { signer: operator, gas: |_| REGISTER_GAS, run: nodes::msgs::register_inference_node }
    MsgRegisterEvaluator { signer: operator, gas: |_| REGISTER_GAS, run: nodes::msgs::register_evaluator }
    MsgUpdateNode { signer: operator, gas: |_| REGISTER_GAS, run: nodes::msgs::update_node }
    MsgUnjail { signer: operator, gas: |_| REGISTER_GAS, run: nodes::msgs::unjail }
    MsgAddStake { signer: operator, gas: |_| REGISTER_GAS, run: stake::msgs::add_stake }
    MsgUnbond { signer: operator, gas: |_| REGISTER_GAS, run: stake::msgs::unbond }
    MsgRegisterValidator { signer: operator, gas: |_| REGISTER_GAS, run: validators::msgs::register_validator }
    MsgSetVrfKey { signer: operator, gas: |_| REGISTER_GAS, run: validators::msgs::set_vrf_key }
    MsgChallenge { signer: challenger, gas: |_| TASK_GAS, run: audits::msgs::challenge }
    MsgSetValidatorPower { signer: authority, gas: |_| REGISTER_GAS, run: validators::msgs::set_validator_power }
    MsgSetModel { signer: authority, gas: |_| REGISTER_GAS, run: models::msgs::set_model }
    MsgSetEvaluatorModel { signer: authority, gas: |_| REGISTER_GAS, run: models::msgs::set_evaluator_model }
    MsgUpdateParams { signer: authority, gas: |_| REGISTER_GAS, run: params::msgs::update_params }
    MsgEnableVoteExtensions { signer: authority, gas: |_| REGISTER_GAS, run: beacon::msgs::enable_vote_extensions }
}

impl Message {
    /// Whether the message does an assigned duty. Such messages are free, because each can succeed
    /// only once.
    pub fn is_duty(&self) -> bool {
        matches!(
            self,
            Self::MsgSubmitAnswers(_)
                | Self::MsgCommitScores(_)
                | Self::MsgRevealScores(_)
                | Self::MsgSettleSessions(_)
                | Self::MsgRevealLeaves(_)
        )
    }
}

fn each(gas: u64, items: usize) -> u64 {
    gas.saturating_mul(items as u64)
}

fn pack<M: prost::Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! type_urls {
        ($($name:ident)*) => { [$($name::type_url()),*] };
    }

    #[test]
    fn every_message_of_the_service_is_executed() {
        for type_url in poq_proto::for_each_message!(type_urls) {
            let message = Message::decode(&type_url, &[]).unwrap();
            assert_eq!(message.type_url(), type_url);
        }
    }
}
