//! Output for people. Only results go to stdout; everything else goes to stderr.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use poq_client::json;
use poq_testnet::{
    Description, Gateway, Network, Ordered, ProcessStatus, Seen, SessionSeen, SessionStep, Step,
    Submitted, logits, ratio,
};
use poq_worker::program::terminal::without_controls;
use serde::Serialize;

use crate::cli::Output;

/// Prints the question before it is sent.
pub(crate) fn question(prompt: &str) {
    eprintln!("\nAsking: {prompt}\n");
}

/// Prints a part of an answer as it comes.
pub(crate) fn text(part: &str) {
    eprint!("{}", without_controls(part));
    // Nothing is lost if the terminal is slow.
    let _ = std::io::stderr().flush();
}

/// Prints what ended an answer of the gateway.
pub(crate) fn ordered(ordered: &Ordered) {
    let Ordered {
        said,
        session,
        number,
        ..
    } = ordered;
    eprintln!(
        "\n\nThe first text came after {} ms, all of it after {} ms. The node signed receipt {session}-{number}.\n\
         The session is ended now, so that its node is paid at once:\n",
        said.first_token.as_millis(),
        said.whole.as_millis()
    );
    steps();
}

/// Prints the head of the steps.
pub(crate) fn steps() {
    eprintln!("  height        ms  step");
}

/// Prints a step of a session.
pub(crate) fn session_step(network: &Description, seen: &SessionSeen) {
    let text = match &seen.step {
        SessionStep::Closing => "session closed: no more orders".into(),
        SessionStep::Settled { answers, amount } => {
            let denom = &network.denom;
            format!("settled: {amount} {denom}, answers in the log: {answers}")
        }
        SessionStep::Drawn => "answers to score are drawn".into(),
        SessionStep::Revealed { task } => format!("this answer is scored by task {task}"),
        SessionStep::Scoring(step) => describe(network, step),
        SessionStep::Final => "session final: its node is paid".into(),
    };
    eprintln!("{:>8}  {:>8}  {text}", seen.height, seen.after.as_millis());
}

/// Prints the task once it is in a block.
pub(crate) fn submitted(submitted: &Submitted, denom: &str) {
    let Submitted { task, escrow, .. } = submitted;
    eprintln!(
        "{:18}  task {task} submitted, {escrow} {denom} set aside",
        ""
    );
}

/// Prints a step of the task.
pub(crate) fn step(network: &Description, seen: &Seen) {
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
                without_controls(text.trim()).replace('\n', &format!("\n{:20}", ""))
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
        Step::Final => "final: all payouts are done".into(),
        Step::Refunded { reason } => format!("refunded: {reason}"),
    }
}

/// Prints the result of a question to stdout.
pub(crate) fn receipt(receipt: &(impl Display + Serialize), output: Output) -> anyhow::Result<()> {
    match output {
        Output::Text => println!("\n{receipt}"),
        Output::Json => println!("{}", json::to_string_pretty(receipt)?),
    }
    Ok(())
}

/// Prints a table of processes to stdout.
pub(crate) fn statuses(root: &Path, all: &[ProcessStatus]) {
    println!(
        "{:14} {:8} {:>8} {:>8}  address",
        "name", "state", "pid", "height"
    );
    for status in all {
        let state = match (status.pid, status.healthy) {
            (None, _) => "stopped",
            _ if status.jailed_until.is_some() => "jailed",
            (Some(_), true) => "healthy",
            (Some(_), false) => "starting",
        };
        let or_dash = |number: Option<String>| number.unwrap_or_else(|| "-".into());
        println!(
            "{:14} {state:8} {:>8} {:>8}  {}",
            status.name,
            or_dash(status.pid.map(|pid| pid.to_string())),
            or_dash(status.height.map(|height| height.to_string())),
            status.address,
        );
    }
    for status in all {
        if let Some(until) = status.jailed_until {
            eprintln!("{}", jail(root, &status.name, until));
        }
    }
}

/// Explains a jail and how to leave it.
fn jail(root: &Path, name: &str, until: u64) -> String {
    let role = match name.starts_with("inference") {
        true => "inference",
        false => "evaluator",
    };
    format!(
        "\n{name} is jailed until height {until}: it gets no duties and earns nothing. Its log shows what it \
         missed. To leave the jail from that height on:\n  poqd tx poq unjail {role} --from {name} --home {} --yes",
        root.join(name).display()
    )
}

/// Prints the addresses of the network and commands to try.
pub(crate) fn addresses(network: &Network, api_key: &str) {
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
    if let Some(gateway) = &description.gateway {
        let Gateway { name, account, .. } = gateway;
        eprintln!(
            "  {name:14} {}  OpenAI API http://{}/v1",
            account.address, gateway.http
        );
    }
    eprintln!("  {:14} {}", "user", description.user.address);
    if let Some(gateway) = &description.gateway {
        eprintln!("\n{}", examples_of_gateway(gateway, api_key));
    }
    eprintln!("{}", examples(network));
}

fn examples_of_gateway(gateway: &Gateway, key: &str) -> String {
    let base = format!("http://{}/v1", gateway.http);
    let model = gateway.models.first().map_or("", String::as_str);
    format!(
        r#"Ask with curl or any OpenAI client (pip install openai):
  curl -sN {base}/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \
    -d '{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Why is the sky blue?"}}]}}'
  python3 -c 'from openai import OpenAI; print(OpenAI(base_url="{base}", api_key="{key}").chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Why is the sky blue?"}}]).choices[0].message.content)'
"#
    )
}

fn examples(network: &Network) -> String {
    let user = &network.description().user;
    let rpc = &network.description().validators[0].rpc;
    let home = network.root().join(&user.home);
    let poqd = network.programs().poqd();
    format!(
        r#"Or ask on chain, where every answer is scored, and look around:
  export POQD_HOME={home}
  {poqd} tx poq submit-task "Why is the sky blue?" --from {key} --yes --wait final
  {poqd} query poq task 1
  {poqd} query bank balances {address}
  curl -s {rpc}/status
  curl -sG {rpc}/tx_search --data-urlencode "query=\"poq_task_submitted.user='{address}'\""
  make testnet-status        # also: testnet-logs NAME=node1, testnet-stop NAME=evaluator-2,
                             # testnet-start NAME=…, testnet-add ROLE=evaluator
  make testnet-prompt PROMPT="How do magnets work?"
"#,
        home = home.display(),
        poqd = poqd.display(),
        key = user.key,
        address = user.address,
    )
}
