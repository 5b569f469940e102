//! Loads prepared weights into mistral.rs, on the CPU.

use std::num::NonZeroUsize;
use std::path::Path;

use mistralrs::core::{
    AdapterPaths, DefaultSchedulerMethod, DeviceMapSetting, GGUFLoaderBuilder, GGUFSpecificConfig,
    LocalModelPaths, MistralRsBuilder, ModelDType, ModelPaths, SchedulerConfig,
};
use mistralrs::{Device, Model};

use super::Error;
use super::weights::Prepared;

/// A model that mistral.rs runs.
pub struct Loaded {
    /// Its engine.
    pub model: Model,
    /// Tokens of prompt and answer together that it can hold.
    pub context_tokens: usize,
}

/// Loads a model; takes seconds and needs a multi-threaded tokio runtime.
///
/// # Errors
/// [`Error::Load`] if mistral.rs does not take the files.
pub async fn load(prepared: &Prepared) -> Result<Loaded, Error> {
    let load_error = |reason: String| Error::Load {
        path: prepared.gguf.clone(),
        reason,
    };
    let paths = model_paths(prepared);
    let name = prepared.gguf.display().to_string();
    // Loading computes for seconds and mistral.rs blocks while it warms up.
    let pipeline = tokio::task::spawn_blocking(move || {
        GGUFLoaderBuilder::new(
            None,
            None,
            name.clone(),
            vec![name],
            GGUFSpecificConfig::default(),
            false,
            None,
        )
        .build()
        .load_model_from_path(
            &paths,
            // Automatic choice takes f16, which this CPU path converts element by element.
            &ModelDType::F32,
            &Device::Cpu,
            true,
            DeviceMapSetting::dummy(),
            None,
            None,
        )
    })
    .await
    .map_err(|error| load_error(error.to_string()))?
    .map_err(|error| load_error(format!("{error:#}")))?;

    let scheduler = SchedulerConfig::DefaultScheduler {
        // Sequences that meet in one engine get wrong answers: see `engine.rs`.
        method: DefaultSchedulerMethod::Fixed(NonZeroUsize::MIN),
    };
    let runner = MistralRsBuilder::new(pipeline, scheduler, false, None)
        // It would save a third of a second, but rounding would depend on what was asked before.
        .with_no_prefix_cache(true)
        .build()
        .await;
    let context_tokens = runner
        .max_sequence_length(None)
        .map_err(|error| load_error(error.to_string()))?
        .ok_or_else(|| load_error("it is no text model".into()))?;
    Ok(Loaded {
        model: Model::new(runner),
        context_tokens,
    })
}

fn model_paths(prepared: &Prepared) -> Box<dyn ModelPaths> {
    Box::new(LocalModelPaths {
        // Empty means: out of the GGUF file.
        tokenizer_filename: prepared.tokenizer.clone().unwrap_or_default(),
        config_filename: Path::new("").to_path_buf(),
        template_filename: prepared.tokenizer_config.clone(),
        filenames: vec![prepared.gguf.clone()],
        adapter_paths: AdapterPaths::None,
        gen_conf: None,
        preprocessor_config: None,
        processor_config: None,
        chat_template_json_filename: None,
    })
}
