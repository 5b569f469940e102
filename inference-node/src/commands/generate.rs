use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::at_once;
use super::model::Located;
use crate::cli::Generate;
use crate::config::ModelConfig;
use crate::generator::{Asked, Generator, Message, Prompt, Request, Speaker};

/// Answers one prompt, without a chain.
pub(super) async fn generate(model: &ModelConfig, options: Generate) -> anyhow::Result<()> {
    let located = Located::find(model).await?;
    let digest = located.digest().await?;
    let generator = located.load(model, digest).await?;
    let message = |speaker, text: &String| Message {
        speaker,
        text: text.clone(),
    };
    let system = options
        .system
        .iter()
        .map(|text| message(Speaker::System, text));
    let asked = Asked {
        temperature: options.temperature,
        top_p: options.top_p,
        repetition_penalty: options.repetition_penalty,
    };
    let request = Request {
        prompt: Prompt::Chat(
            system
                .chain([message(Speaker::User, &options.prompt)])
                .collect(),
        ),
        sampling: generator.recommended().complete(asked, options.seed),
        max_tokens: options.max_tokens,
        max_bytes: options.max_bytes,
        stop: Vec::new(),
    };
    let stop = CancellationToken::new();
    if let Some(requests) = options.at_once {
        let measured = at_once::measure(&generator, &request, requests).await?;
        options.output.output.print_figures(&measured, &measured)?;
        return Ok(());
    }
    for _ in 1..options.repeat {
        generator.generate(&request, &stop, None).await?;
    }
    let completion = generator.generate(&request, &stop, None).await?;
    let first_token_ms = completion.first_token.as_secs_f64() * 1000.0;
    let speed = completion.tokens_per_second();
    let value = json!({
        "answer": completion.text,
        "finish": completion.finish,
        "prompt_tokens": completion.prompt_tokens,
        "answer_tokens": completion.answer_tokens,
        "first_token_ms": first_token_ms,
        "tokens_per_second": speed,
        "total_ms": completion.total.as_secs_f64() * 1000.0,
    });
    let speed = speed.map_or("-".to_owned(), |speed| format!("{speed:.1}"));
    let text = format!(
        "{}\n\n{} prompt tokens, {} answer tokens, first after {first_token_ms:.0} ms, \
         then {speed} tokens/s",
        completion.text, completion.prompt_tokens, completion.answer_tokens,
    );
    options.output.output.print_figures(&value, text)?;
    Ok(())
}
