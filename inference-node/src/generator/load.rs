//! Loads prepared weights into mistral.rs, on the CPU or on the device it was compiled for.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mistralrs::core::{
    AdapterPaths, DefaultSchedulerMethod, DeviceMapSetting, GGUFLoaderBuilder, GGUFSpecificConfig,
    Loader, LocalModelPaths, MistralRsBuilder, ModelDType, ModelPaths, NormalLoaderBuilder,
    NormalSpecificConfig, Pipeline, SchedulerConfig, Topology,
};
use mistralrs::{Device, Model};
use tokio::sync::Mutex;

use super::Error;
use super::weights::{Files, Prepared, WeightType};

/// The matrices that become 8-bit blocks in a folder of safetensors: all but the `down_proj` of
/// plain models, for the same reason as in a converted file (`WeightType::type_of`).
const EIGHT_BITS: &str = r"'/(lm_head|(q|k|v|o|gate|up)_proj|experts\.\d+\.w[123])\.weight$/':
  isq: Q8_0
";
/// The same with `down_proj`.
const EIGHT_BITS_ALL: &str = r"'/(lm_head|(q|k|v|o|gate|up|down)_proj|experts\.\d+\.w[123])\.weight$/':
  isq: Q8_0
";

/// A model loaded into mistral.rs.
pub(super) struct Loaded {
    /// Its engine.
    pub model: Model,
    /// Maximum tokens of prompt and answer together.
    pub context_tokens: usize,
}

/// Loads a model; takes seconds and needs a multi-threaded tokio runtime.
///
/// # Errors
/// [`Error::Load`] if mistral.rs refuses the files.
pub(super) async fn load(prepared: &Prepared) -> Result<Loaded, Error> {
    let load_error = |reason: String| Error::Load {
        path: prepared.path().to_owned(),
        reason,
    };
    let files = prepared.clone();
    // Loading computes for seconds, and mistral.rs blocks while it warms up.
    let pipeline = tokio::task::spawn_blocking(move || pipeline(&files))
        .await
        .map_err(|error| load_error(error.to_string()))?
        .map_err(|error| load_error(format!("{error:#}")))?;

    let scheduler = SchedulerConfig::DefaultScheduler {
        // Sequences that share an engine get wrong answers: see `engine.rs`.
        method: DefaultSchedulerMethod::Fixed(NonZeroUsize::MIN),
    };
    let runner = MistralRsBuilder::new(pipeline, scheduler, false, None)
        // Prefix caching would save a third of a second, but rounding would depend on earlier
        // requests.
        .with_no_prefix_cache(true)
        .build()
        .await;
    let context_tokens = runner
        .max_sequence_length(None)
        .map_err(|error| load_error(error.to_string()))?
        .ok_or_else(|| load_error("it is not a text model".into()))?;
    Ok(Loaded {
        model: Model::new(runner),
        context_tokens,
    })
}

fn pipeline(prepared: &Prepared) -> anyhow::Result<Arc<Mutex<dyn Pipeline + Send + Sync>>> {
    let device = device()?;
    let dtype = match device.is_cpu() {
        // Automatic choice selects f16, which this CPU path converts element by element.
        true => ModelDType::F32,
        false => ModelDType::Auto,
    };
    loader(prepared)?.load_model_from_path(
        &model_paths(prepared),
        &dtype,
        &device,
        true,
        DeviceMapSetting::dummy(),
        None,
        None,
    )
}

/// The first device of the kind selected by the crate's features; else the CPU.
fn device() -> anyhow::Result<Device> {
    #[cfg(feature = "cuda")]
    return Ok(Device::new_cuda(0)?);
    #[cfg(all(feature = "metal", not(feature = "cuda")))]
    return Ok(Device::new_metal(0)?);
    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    Ok(Device::Cpu)
}

fn loader(prepared: &Prepared) -> anyhow::Result<Box<dyn Loader>> {
    let name = prepared.path().display().to_string();
    match &prepared.files {
        Files::Gguf(files) => Ok(GGUFLoaderBuilder::new(
            None,
            None,
            name,
            files
                .iter()
                .map(|file| file.display().to_string())
                .collect(),
            GGUFSpecificConfig::default(),
            false,
            None,
        )
        .build()),
        Files::Folder { weights, .. } => {
            let topology = match weights {
                WeightType::Q8_0 => Some(Topology::from_str(EIGHT_BITS)?),
                WeightType::Q8_0All => Some(Topology::from_str(EIGHT_BITS_ALL)?),
                WeightType::F32 | WeightType::Original => None,
            };
            let config = NormalSpecificConfig {
                topology,
                ..NormalSpecificConfig::default()
            };
            NormalLoaderBuilder::new(config, None, None, Some(name), false, None).build(None)
        }
    }
}

fn model_paths(prepared: &Prepared) -> Box<dyn ModelPaths> {
    let (config, generation_config, weights) = match &prepared.files {
        Files::Gguf(files) => (Path::new(""), None, files),
        Files::Folder {
            config,
            generation_config,
            shards,
            ..
        } => (config.as_path(), generation_config.clone(), shards),
    };
    Box::new(LocalModelPaths {
        // Empty means: read it from the GGUF file.
        tokenizer_filename: prepared.tokenizer.clone().unwrap_or_default(),
        config_filename: PathBuf::from(config),
        template_filename: prepared.template.clone(),
        filenames: weights.clone(),
        adapter_paths: AdapterPaths::None,
        gen_conf: generation_config,
        preprocessor_config: None,
        processor_config: None,
        chat_template_json_filename: None,
    })
}
