use poq_client::Client;
use poq_proto::v1::Params;
use tracing::warn;

/// Blocks between two queries of the parameters.
const READ_AFTER: u64 = 10;

/// The chain's parameters, at most a few blocks old: the authority can change them.
#[derive(Debug)]
pub(crate) struct RecentParams {
    params: Params,
    read_at: u64,
}

impl RecentParams {
    /// Parameters that were read before the chain is followed.
    pub(crate) fn new(params: Params) -> Self {
        Self { params, read_at: 0 }
    }

    /// Queries the parameters if they are old. If the node does not answer, the old ones are kept.
    pub(crate) async fn refresh(&mut self, client: &Client, height: u64) {
        if height < self.read_at.saturating_add(READ_AFTER) {
            return;
        }
        match client.params().await {
            Ok(params) => {
                self.params = params;
                self.read_at = height;
            }
            Err(error) => warn!(height, %error, "cannot read the parameters; keeping the old ones"),
        }
    }

    /// The newest known parameters.
    pub(crate) fn get(&self) -> &Params {
        &self.params
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use poq_proto::v1::QueryParamsResponse;

    use super::*;
    use crate::fake_node::{FakeNode, found};

    #[tokio::test]
    async fn a_change_is_seen_a_few_blocks_later() {
        let items = Arc::new(AtomicU32::new(7));
        let shared = items.clone();
        let node = FakeNode::start(move |_, _| {
            Ok(found(&QueryParamsResponse {
                params: Some(Params {
                    max_batch_items: shared.load(Ordering::Relaxed),
                    ..Params::default()
                }),
            }))
        })
        .await;
        let client = Client::new(&node.url).unwrap();
        let mut recent = RecentParams::new(Params::default());
        recent.refresh(&client, 100).await;
        assert_eq!(recent.get().max_batch_items, 7);
        items.store(3, Ordering::Relaxed);
        recent.refresh(&client, 100 + READ_AFTER - 1).await;
        assert_eq!(recent.get().max_batch_items, 7);
        recent.refresh(&client, 100 + READ_AFTER).await;
        assert_eq!(recent.get().max_batch_items, 3);
        drop(node);
        recent.refresh(&client, 500).await;
        assert_eq!(recent.get().max_batch_items, 3);
    }
}
