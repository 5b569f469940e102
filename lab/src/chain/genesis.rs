//! The genesis of a laboratory's chain.

use poq_app::modules::beacon::Secret;
use poq_client::Key;
use poq_proto::v1::{
    GenesisAccount, GenesisCoin, GenesisNode, GenesisState, GenesisValidator, Role, Stream,
};

use super::{Beginning, FUNDS, Member, VALIDATOR_STAKE};

/// Most duties of a node at once: speed is not studied.
const CAPACITY: u32 = 100_000;

/// The member after the last one owns the only validator.
pub(super) fn genesis(
    beginning: &Beginning,
    keys: &[Key],
    addresses: &[String],
    public_key: &[u8],
    secret: &Secret,
) -> GenesisState {
    let account = |address: &String| GenesisAccount {
        address: address.clone(),
        coins: vec![GenesisCoin {
            denom: beginning.params.denom.clone(),
            amount: FUNDS.to_string(),
        }],
    };
    let has_sessions = beginning.params.sessions.is_some();
    let node = |((member, address), key): ((&Member, &String), &Key)| {
        member.role.map(|role| GenesisNode {
            role: role.into(),
            operator: address.clone(),
            models: vec![member.model.into()],
            stake: member.stake,
            capacity: CAPACITY,
            stream: (has_sessions && role == Role::Inference).then(|| stream(key)),
            ..GenesisNode::default()
        })
    };
    let members = beginning.members.iter().zip(addresses).zip(keys);
    let nodes = members.filter_map(node);
    let owner = addresses.last().map(|operator| GenesisValidator {
        operator: operator.clone(),
        public_key: public_key.to_vec(),
        vrf_key: secret.public_key().to_vec(),
        stake: VALIDATOR_STAKE,
        ..GenesisValidator::default()
    });
    GenesisState {
        params: Some(beginning.params.clone()),
        accounts: addresses.iter().map(account).collect(),
        models: vec![beginning.model.clone()],
        evaluator_models: vec![beginning.evaluator_model.clone()],
        nodes: nodes.collect(),
        validators: owner.into_iter().collect(),
        ..GenesisState::default()
    }
}

/// Where a node takes orders of sessions; nobody connects.
fn stream(key: &Key) -> Stream {
    Stream {
        url: "https://node.example:8443".into(),
        key: key.public_key(),
        tls_spki_sha256: vec![7; 32],
    }
}
