//! What a person sees of a network; everything but the receipt goes to stderr.

use poq_testnet::{Description, Network, Question, Seen, Step, Submitted, logits, ratio};

/// Before the question is sent.
pub fn question(question: &Question) {
    eprintln!("\nAsking: {}\n", question.prompt);
    eprintln!("  height        ms  step");
}

/// Once the question is in a block.
pub fn submitted(submitted: &Submitted, denom: &str) {
    let Submitted { task, escrow, .. } = submitted;
    eprintln!(
        "{:18}  task {task} submitted, {escrow} {denom} set aside",
        ""
    );
}

/// One step of the task.
pub fn step(network: &Description, seen: &Seen) {
    let text = describe(network, &seen.step);
    eprintln!("{:>8}  {:>8}  {text}", seen.height, seen.after.as_millis());
}

fn describe(network: &Description, step: &Step) -> String {
    let again = |attempt: &usize| if *attempt == 0 { "" } else { " again" };
    match step {
        Step::Assigned { operator, attempt } => {
            format!("assigned{} to {}", again(attempt), network.name(operator))
        }
        Step::Missed { operator } => format!("{} did not answer in time", network.name(operator)),
        Step::Answered { text } => {
            format!(
                "answered: {}",
                text.trim().replace('\n', &format!("\n{:20}", ""))
            )
        }
        Step::Seated { operators, attempt } => {
            let names: Vec<&str> = operators
                .iter()
                .map(|operator| network.name(operator))
                .collect();
            format!("committee drawn{}: {}", again(attempt), names.join(", "))
        }
        Step::Committed { count, of } => format!("{count} of {of} scores committed"),
        Step::Revealed {
            operator,
            raw_score,
            quality,
        } => {
            let name = network.name(operator);
            format!(
                "{name} revealed {}, quality {}",
                logits(*raw_score),
                ratio(*quality)
            )
        }
        Step::Settled { quality } => format!("settled with quality {}", ratio(*quality)),
        Step::Final => "final: everybody is paid".into(),
        Step::Refunded { reason } => format!("refunded: {reason}"),
    }
}

/// Where everything is, and what to try.
pub fn addresses(network: &Network) {
    let description = network.description();
    eprintln!("\nThe network stays up; Ctrl-C stops it.\n");
    for node in &description.validators {
        eprintln!("  {:14} RPC {}  gRPC {}", node.name, node.rpc, node.grpc);
    }
    for worker in &description.inference_nodes {
        eprintln!(
            "  {:14} {}  OpenAI API http://{}/v1",
            worker.name, worker.account.address, worker.http
        );
    }
    for worker in &description.evaluators {
        eprintln!("  {:14} {}", worker.name, worker.account.address);
    }
    eprintln!("  {:14} {}", "user", description.user.address);
    eprintln!("\n{}", examples(network));
}

fn examples(network: &Network) -> String {
    let user = &network.description().user;
    let rpc = &network.description().validators[0].rpc;
    let home = network.root().join(&user.home);
    let poqd = network.programs().poqd();
    format!(
        r#"Try, in another terminal:
  export POQD_HOME={home}
  {poqd} tx poq submit-task "Why is the sky blue?" --from {key} --yes --wait final
  {poqd} query poq task 1
  {poqd} query bank balances {address}
  curl -s {rpc}/status
  curl -sG {rpc}/tx_search --data-urlencode "query=\"poq_task_submitted.user='{address}'\""
"#,
        home = home.display(),
        poqd = poqd.display(),
        key = user.key,
        address = user.address,
    )
}
