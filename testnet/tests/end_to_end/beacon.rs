//! VRF outputs of votes determine the beacon of a real network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use poq_app::modules::beacon::{Input, beacon_after_outputs, parse, verify};
use poq_app::modules::validators::{consensus_address, effective_vrf_key};
use poq_client::network::Account;
use poq_client::{Answer, Client, Fee, any};
use poq_proto::v1::{
    BeaconForm, MsgEnableVoteExtensions, MsgSetVrfKey, MsgVoteOutputs, QueryBeaconRequest,
    QueryBeaconResponse, QueryValidatorsRequest, QueryValidatorsResponse, Validator,
};
use prost::Message;
use prost::Name;

use crate::fixture::{Fixture, send};

/// Number of blocks that are recomputed at least.
const FEW_BLOCKS: u64 = 6;
const MANY_BLOCKS: u64 = 60;

/// From the first height on, the beacon is recomputed from blocks and keys alone. Then a validator whose
/// node lacks the secret of its key is absent, and the chain continues.
#[tokio::test]
async fn votes_move_the_beacon() {
    let mut fixture = Fixture::start("beacon", [4, 0, 0], |_| {}).await;
    let client = fixture.client();
    let mut signers = BTreeSet::new();
    // Three of four votes are enough for a block; timing decides which three.
    for height in 2.. {
        fixture.assert_equal_hashes(height).await;
        let found = recompute(&client, height).await;
        assert!(found.len() >= 3, "{height}: {found:?}");
        signers.extend(found);
        if height >= FEW_BLOCKS && signers.len() == 4 {
            break;
        }
        assert!(height < MANY_BLOCKS, "only {signers:?} ever had an output");
    }
    assert_eq!(beacon(&client, 1).await.form(), BeaconForm::BlockHash);

    // The secret of this key is unknown.
    let stray = hex::decode("88b226498ee1f7d4fa5dae4dacd4f4bc2b5fdb5438cea23ae8fca638af264648");
    let victim = fixture.network.description().validators[3].clone();
    let message = MsgSetVrfKey {
        operator: victim.account.address.clone(),
        vrf_key: stray.unwrap(),
    };
    send_by(&fixture, &victim.account, &message).await;
    let all = validators(&client).await;
    let owner = all
        .iter()
        .find(|found| found.operator == victim.account.address);
    let owner = owner.unwrap();
    let effective = owner.next_vrf_key_height;
    fixture.assert_equal_hashes(effective + 8).await;
    let address = consensus_address(&owner.public_key).to_vec();
    for height in effective + 1..effective + 8 {
        let signers = recompute(&client, height).await;
        assert!(
            !signers.contains(&address) && signers.len() == 3,
            "{height}"
        );
    }
    fixture.shut_down().await;
}

/// A chain that began without VRF outputs gets them when its authority enables them.
#[tokio::test]
async fn a_running_network_begins_to_extend_votes() {
    let mut fixture = Fixture::create("beacon-enabled", [4, 0, 0], |_| {}).await;
    for node in fixture.network.description().validators.clone() {
        let path = fixture.network.root().join(&node.account.home);
        let path = path.join("config/genesis.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut genesis: serde_json::Value = serde_json::from_str(&text).unwrap();
        genesis["consensus_params"]["abci"]["vote_extensions_enable_height"] = "0".into();
        fs::write(&path, genesis.to_string()).unwrap();
    }
    fixture.start_all().await;
    let client = fixture.client();
    let first = client.height().await.unwrap() + 20;
    let authority = fixture.network.description().authority.clone();
    let message = MsgEnableVoteExtensions {
        authority: authority.address.clone(),
        height: first,
    };
    send_by(&fixture, &authority, &message).await;
    fixture.assert_equal_hashes(first + 4).await;
    assert_eq!(beacon(&client, first).await.form(), BeaconForm::BlockHash);
    assert!(!is_carried(&client, first).await);
    for height in first + 1..first + 4 {
        recompute(&client, height).await;
    }
    fixture.shut_down().await;
}

async fn send_by<M: Message + Name>(fixture: &Fixture, account: &Account, message: &M) {
    let sender = fixture.network.sender(account).await.unwrap();
    send(&sender, any(message), Fee::Gas(200_000)).await;
}

async fn is_carried(client: &Client, height: u64) -> bool {
    let block = client.block(Some(height)).await.unwrap().block;
    block.data.first().is_some_and(|tx| parse(tx).is_some())
}

/// Verifies a block's VRF outputs and its beacon, and returns the validators of the outputs.
async fn recompute(client: &Client, height: u64) -> Vec<Vec<u8>> {
    let found = client.block(Some(height)).await.unwrap();
    let MsgVoteOutputs { outputs } = parse(&found.block.data[0]).unwrap();
    let keys: BTreeMap<Vec<u8>, Validator> = validators(client)
        .await
        .into_iter()
        .map(|validator| (consensus_address(&validator.public_key).to_vec(), validator))
        .collect();
    let chain_id = found.block.header.chain_id.to_string();
    // Votes for the previous block used the beacon of the block before it, or that of the genesis.
    let known = match height {
        2 => poq_app::modules::beacon::beacon_after_hash(&[], chain_id.as_bytes()),
        height => bytes(&beacon(client, height - 2).await),
    };
    let mut values = Vec::new();
    for output in &outputs {
        let input = Input {
            chain_id: &chain_id,
            height: height - 1,
            previous: known,
            validator: &output.validator,
        };
        let key = effective_vrf_key(&keys[&output.validator], height - 1).unwrap();
        values.push(verify(key, &input, &output.extension).unwrap());
    }
    let now = beacon(client, height).await;
    let previous = bytes(&beacon(client, height - 1).await);
    assert_eq!(
        bytes(&now),
        beacon_after_outputs(&previous, &values),
        "{height}"
    );
    assert_eq!(now.form(), BeaconForm::VoteOutputs);
    outputs.into_iter().map(|output| output.validator).collect()
}

fn bytes(beacon: &QueryBeaconResponse) -> [u8; 32] {
    beacon.beacon.as_slice().try_into().unwrap()
}

async fn beacon(client: &Client, height: u64) -> QueryBeaconResponse {
    let path = "/poq.v1.Query/Beacon";
    let request = QueryBeaconRequest {};
    let answer = client.query(path, &request, Some(height)).await;
    let answer: Answer<QueryBeaconResponse> = answer.unwrap();
    assert_eq!(answer.value.height, height);
    answer.value
}

async fn validators(client: &Client) -> Vec<Validator> {
    let path = "/poq.v1.Query/Validators";
    let request = QueryValidatorsRequest::default();
    let answer: Answer<QueryValidatorsResponse> = client.query(path, &request, None).await.unwrap();
    answer.value.validators
}
