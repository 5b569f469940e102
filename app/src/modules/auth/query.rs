use cosmos_sdk_proto::cosmos::auth::v1beta1::{
    BaseAccount, QueryAccountRequest, QueryAccountResponse,
};
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use poq_proto::code;
use prost::{Message, Name};
use tendermint_proto::google::protobuf::Any;

use super::account;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::modules::params;
use crate::store::State;

/// `cosmos.auth.v1beta1.Query/Account`.
pub fn query_account(state: &State, request: QueryAccountRequest) -> Result<QueryAccountResponse> {
    let address = Address::parse(&request.address, &params::get(state)?.bech32_prefix)?;
    let stored = account(state, &address)?.ok_or_else(|| {
        // Clients of the Cosmos SDK look for this text.
        Error::rejected(
            code::NOT_FOUND,
            format!("rpc error: code = NotFound desc = account {address} not found"),
        )
    })?;
    let pub_key = (!stored.public_key.is_empty()).then(|| Any {
        type_url: PubKey::type_url(),
        value: PubKey {
            key: stored.public_key.clone(),
        }
        .encode_to_vec(),
    });
    let base = BaseAccount {
        address: address.to_string(),
        pub_key,
        account_number: stored.account_number,
        sequence: stored.sequence,
    };
    Ok(QueryAccountResponse {
        account: Some(Any {
            type_url: BaseAccount::type_url(),
            value: base.encode_to_vec(),
        }),
    })
}
