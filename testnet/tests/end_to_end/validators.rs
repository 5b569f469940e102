//! The validator set changes while the chain runs.

use poq_client::{Answer, Client, Fee, any};
use poq_proto::v1::{
    MsgSetValidatorPower, QueryValidatorsRequest, QueryValidatorsResponse, Validator,
};
use tokio::time::{Instant, sleep};

use crate::fixture::{Fixture, PATIENCE};

#[tokio::test]
async fn the_authority_changes_powers_and_cometbft_follows() {
    let mut fixture = Fixture::start("validators", [4, 0, 0], |_| {}).await;
    let client = fixture.client();
    let description = fixture.network.description().clone();
    let mut powers = powers_in_comet(&client).await;
    assert_eq!(powers, powers_in_state(&client).await);
    assert_eq!(powers.len(), 4);

    // Set another power, remove the validator, and add it back.
    for (validator, power) in [(1, 25), (3, 0), (3, 10)] {
        let operator = description.validators[validator].account.address.clone();
        let authority = fixture
            .network
            .sender(&description.authority)
            .await
            .unwrap();
        let message = MsgSetValidatorPower {
            authority: description.authority.address.clone(),
            operator: operator.clone(),
            power,
        };
        let fee = Fee::Gas(200_000);
        let outcome = authority
            .send_and_wait(vec![any(&message)], fee, PATIENCE)
            .await
            .unwrap();
        let changed = powers_in_state(&client).await;
        assert_ne!(changed, powers);
        powers = changed;
        // CometBFT applies a change two blocks later.
        wait_for(&client, &powers).await;
        fixture.assert_equal_hashes(outcome.height + 2).await;
    }
    fees_are_earned(&fixture, &client).await;
    fixture.shut_down().await;
}

/// Validators that voted for the previous block share the fees of transactions. On a busy machine a vote
/// may be late, so transactions are sent until every validator had a share.
async fn fees_are_earned(fixture: &Fixture, client: &Client) {
    let user = fixture.user().await;
    let deadline = Instant::now() + PATIENCE;
    while validators(client)
        .await
        .iter()
        .any(|found| found.earned == 0)
    {
        assert!(Instant::now() < deadline, "{:?}", validators(client).await);
        fixture.pay(user.address(), 1).await;
    }
}

const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

async fn wait_for(client: &Client, powers: &[(Vec<u8>, u64)]) {
    let deadline = Instant::now() + PATIENCE;
    while powers_in_comet(client).await != powers {
        let seen = powers_in_comet(client).await;
        assert!(Instant::now() < deadline, "{seen:?} instead of {powers:?}");
        sleep(PAUSE).await;
    }
}

/// Keys and powers of the newest block's validators.
async fn powers_in_comet(client: &Client) -> Vec<(Vec<u8>, u64)> {
    let height = client.height().await.unwrap().max(1);
    let found = client.validators(height).await.unwrap().validators;
    let mut powers: Vec<_> = found
        .iter()
        .map(|found| (found.pub_key.to_bytes(), found.power.value()))
        .collect();
    powers.sort();
    powers
}

/// Keys and powers in the application's state.
async fn powers_in_state(client: &Client) -> Vec<(Vec<u8>, u64)> {
    let mut powers: Vec<_> = validators(client)
        .await
        .into_iter()
        .filter(|found| found.power > 0)
        .map(|found| (found.public_key, found.power))
        .collect();
    powers.sort();
    powers
}

async fn validators(client: &Client) -> Vec<Validator> {
    let request = QueryValidatorsRequest::default();
    let answer: Answer<QueryValidatorsResponse> = client
        .query("/poq.v1.Query/Validators", &request, None)
        .await
        .unwrap();
    answer.value.validators
}
