//! Models of the commands that need no home.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use poq_client::Client;
use poq_proto::v1::EvaluatorModel;

use crate::cli::ModelArgs;
use crate::config::{self, ModelConfig, ScoringConfig};
use crate::registry;
use crate::scorer::ModelFiles;

impl ModelArgs {
    /// The registry entries of the models, with the paths of their files. At least one.
    pub async fn find(&self) -> Result<Vec<(EvaluatorModel, ModelFiles)>> {
        let entries = self.entries().await?;
        let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        ensure!(
            ids.len() == entries.len(),
            "a model is given more than once; pass each --model and --registry once"
        );
        ensure!(
            self.folders.is_empty() || self.folders.len() == entries.len(),
            "{} times --model-folder for {} models; pass one per model, or none",
            self.folders.len(),
            entries.len()
        );
        let mut folders = self.folders.iter();
        let with_files = |entry: EvaluatorModel| {
            let files = self.files(&entry.id, folders.next().cloned());
            (entry, files)
        };
        Ok(entries.into_iter().map(with_files).collect())
    }

    /// The only model of a command that accepts just one.
    pub async fn find_one(&self) -> Result<(EvaluatorModel, ModelFiles)> {
        let mut models = self.find().await?;
        ensure!(
            models.len() == 1,
            "{} models are given, but this command accepts one; choose it with --model",
            models.len()
        );
        Ok(models.remove(0))
    }

    async fn entries(&self) -> Result<Vec<EvaluatorModel>> {
        let known = match &self.node {
            Some(node) => {
                let client = Client::new(node)?;
                let mut entries = Vec::new();
                for id in self.ids_or_default() {
                    entries.push(client.evaluator_model(&id).await?);
                }
                return Ok(entries);
            }
            None if self.registry.is_empty() && self.models.is_empty() => {
                vec![registry::default_entry()?]
            }
            None if self.registry.is_empty() => registry::entries()?,
            None => self
                .registry
                .iter()
                .map(|path| registry::read(path))
                .collect::<Result<_, _>>()?,
        };
        match self.models.is_empty() {
            true => Ok(known),
            false => self.models.iter().map(|id| choose(&known, id)).collect(),
        }
    }

    fn ids_or_default(&self) -> Vec<String> {
        match self.models.is_empty() {
            true => vec![registry::DEFAULT_MODEL.to_owned()],
            false => self.models.clone(),
        }
    }

    fn files(&self, id: &str, folder: Option<PathBuf>) -> ModelFiles {
        let model = ModelConfig {
            id: id.to_owned(),
            folder,
        };
        let scoring = ScoringConfig {
            backend: self.backend,
            library: self.library.clone(),
            ..ScoringConfig::default()
        };
        config::model_files(&model, &scoring)
    }
}

fn choose(known: &[EvaluatorModel], id: &str) -> Result<EvaluatorModel> {
    let ids: Vec<&str> = known.iter().map(|entry| entry.id.as_str()).collect();
    let entry = known.iter().find(|entry| entry.id == id).cloned();
    entry.with_context(|| {
        let ids = ids.join(", ");
        format!("there is no registry entry of {id}, only of {ids}; pass --registry or --node")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scorer::ScorerBackend;
    use crate::testing;

    fn args(models: &[&str], folders: &[&str]) -> (tempfile::TempDir, ModelArgs) {
        let folder = tempfile::tempdir().unwrap();
        let entries = [testing::published(), testing::short()];
        let registry = entries.map(|entry| {
            let path = folder.path().join(format!("{}.json", entry.id));
            std::fs::write(&path, serde_json::to_string(&entry).unwrap()).unwrap();
            path
        });
        let args = ModelArgs {
            node: None,
            registry: registry.into(),
            models: models.iter().map(|id| (*id).to_owned()).collect(),
            folders: folders.iter().map(PathBuf::from).collect(),
            backend: ScorerBackend::default(),
            library: None,
        };
        (folder, args)
    }

    async fn refusal(models: &[&str], folders: &[&str]) -> String {
        let (_folder, args) = args(models, folders);
        args.find().await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn models_have_entries_and_folders_in_their_order() {
        let (_folder, both) = args(&[], &[]);
        let ids: Vec<String> = both
            .find()
            .await
            .unwrap()
            .into_iter()
            .map(|(entry, _)| entry.id)
            .collect();
        let published = testing::published().id;
        assert_eq!(ids, [published.as_str(), "short"]);
        let (_folder, turned) = args(&["short", &published], &["/a", "/b"]);
        let (entry, files) = turned.find().await.unwrap().remove(0);
        assert_eq!((entry.id.as_str(), entry.max_windows), ("short", 3));
        assert!(files.weights.starts_with("/a"));
    }

    #[tokio::test]
    async fn known_models_need_no_registry_file() {
        let (_folder, mut args) = args(&["bge-small-en-v1.5"], &[]);
        args.registry.clear();
        let (entry, files) = args.find_one().await.unwrap();
        assert_eq!(entry, testing::bi_encoder());
        assert!(files.weights.ends_with("bge-small-en-v1.5/model.onnx"));
        args.models.clear();
        assert_eq!(
            args.find_one().await.unwrap().0,
            registry::default_entry().unwrap()
        );
    }

    #[tokio::test]
    async fn what_does_not_fit_together_is_refused() {
        let unknown = refusal(&["long"], &[]).await;
        assert!(unknown.contains("no registry entry of long"), "{unknown}");
        let folders = refusal(&[], &["/a"]).await;
        assert!(folders.contains("1 times --model-folder for 2 models"));
        let twice = refusal(&["short", "short"], &[]).await;
        assert!(twice.contains("more than once"), "{twice}");
        let (_folder, both) = args(&[], &[]);
        let several = both.find_one().await.unwrap_err().to_string();
        assert!(several.contains("choose it with --model"), "{several}");
    }
}
