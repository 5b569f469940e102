use poq_proto::v1::Role;

use super::name;
use crate::selection::WeightedIndex;

/// Prefix of a role's nodes; the operator follows.
pub(super) fn nodes(role: Role) -> String {
    format!("nodes/{}/node/", name(role))
}

/// `poq.v1.Node` of an operator.
pub(super) fn node(role: Role, operator: &str) -> String {
    format!("{}{operator}", nodes(role))
}

/// Operator of the node that a payout account belongs to.
pub(super) fn payout(role: Role, payout: &str) -> String {
    format!("nodes/{}/payout/{payout}", name(role))
}

/// Operator of the node at a slot of the weighted indexes.
pub(super) fn slot(role: Role, slot: u64) -> String {
    format!("nodes/{}/slot/{slot:07}", name(role))
}

/// Prefix of the free slots; the slot follows.
pub(super) fn free_slots(role: Role) -> String {
    format!("nodes/{}/free-slot/", name(role))
}

/// Marks a free slot, which the next new node takes.
pub(super) fn free_slot(role: Role, slot: u64) -> String {
    format!("{}{slot:07}", free_slots(role))
}

/// The next new slot, `u64`, used if none is free.
pub(super) fn next_slot(role: Role) -> String {
    format!("nodes/{}/next-slot", name(role))
}

/// The weighted index of the inference nodes that offer sessions of a model.
pub(super) fn stream_index(model: &str) -> WeightedIndex {
    WeightedIndex::new(format!("nodes/inference/stream/{model}/"))
}

/// The weighted index of the nodes that serve a model.
pub(super) fn index(role: Role, model: &str) -> WeightedIndex {
    WeightedIndex::new(format!("nodes/{}/index/{model}/", name(role)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        insta::assert_snapshot!(node(Role::Inference, "poq1x"), @"nodes/inference/node/poq1x");
        insta::assert_snapshot!(payout(Role::Evaluator, "poq1x"), @"nodes/evaluator/payout/poq1x");
        insta::assert_snapshot!(slot(Role::Evaluator, 7), @"nodes/evaluator/slot/0000007");
        insta::assert_snapshot!(free_slot(Role::Inference, 7), @"nodes/inference/free-slot/0000007");
        insta::assert_snapshot!(next_slot(Role::Evaluator), @"nodes/evaluator/next-slot");
    }
}
