//! Asks a question, waits for its payout, and prints the answer's quality and cost.
//!
//! ```sh
//! cargo run -p poq-client --example ask -- http://127.0.0.1:26657 "MNEMONIC" "Why is the sky blue?"
//! ```

use std::time::Duration;

use anyhow::{Context, bail};
use poq_client::{Client, Fee, Key, Mnemonic, Sender, any, tx};
use poq_proto::v1::{MsgSubmitTask, MsgSubmitTaskResponse, TaskStatus};
use prost::Message;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [node, mnemonic, prompt] = args.as_slice() else {
        bail!("expected NODE MNEMONIC PROMPT");
    };
    let client = Client::new(node)?;
    let key = Key::from_mnemonic(&Mnemonic::parse(mnemonic)?)?;
    let sender = Sender::new(client.clone(), key, None).await?;

    let models = client.models("", 1).await?;
    let model = models.first().context("the chain has no model")?;
    let task = MsgSubmitTask {
        user: sender.address().to_owned(),
        model: model.id.clone(),
        prompt: prompt.clone(),
        max_answer_bytes: 512,
        // Held in escrow; the unspent part is returned.
        max_fee: 1_000_000,
        ..MsgSubmitTask::default()
    };
    let sent = sender
        .send_and_wait(vec![any(&task)], Fee::Auto, Duration::from_secs(60))
        .await?;
    let responses = tx::responses(&sent.data)?;
    let response = responses
        .first()
        .context("the chain returned no response")?;
    let id = MsgSubmitTaskResponse::decode(response.value.as_slice())?.task_id;
    println!("task {id} is in block {}", sent.height);

    loop {
        let task = client.task(id).await?;
        match (task.status(), &task.settlement) {
            (TaskStatus::Final, Some(settlement)) => {
                println!(
                    "quality {} ppm, price {}",
                    settlement.quality, settlement.price
                );
                return Ok(());
            }
            (TaskStatus::Refunded, _) => bail!("refunded: {}", task.refund_reason().as_str_name()),
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}
