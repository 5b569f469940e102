//! Merges a trained low-rank adapter into a canonical graph.
//!
//! An adapter is a safetensors file. For a linear layer `NAME` it has `NAME.down` `[rank, inputs]`
//! and `NAME.up` `[outputs, rank]`, both in half precision; the layer's weights become `W + up ·
//! down`. `pooler.dense` and `classifier` are complete, in single precision.
//!
//! The merge gives the same bits on every machine: the product of two halves is a multiple of
//! 2^-48, so sums below 32 are exact in double precision in any order; each weight is then rounded
//! once.

use std::collections::BTreeMap;

use half::f16;
use poq_reference_evaluator::onnx_proto::{GraphProto, NodeProto};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::head;
use super::tensor::{self, float_tensor};
use super::{Error, Result};

/// Value of `format` in the metadata.
const FORMAT: &str = "poq-adapter-1";
/// Sums of products of an adapter must be below this.
const MOST_SUM: f64 = 32.0;

/// Merges `adapter` into `graph`, turning a bi-encoder into a cross-encoder.
pub(super) fn merge(graph: &mut GraphProto, adapter: &[u8]) -> Result<()> {
    let (_, metadata) = SafeTensors::read_metadata(adapter).map_err(refused)?;
    let format = metadata.metadata().as_ref().and_then(|of| of.get("format"));
    if format.map(String::as_str) != Some(FORMAT) {
        return Err(refused(format_args!("its format is not {FORMAT}")));
    }
    let tensors = SafeTensors::deserialize(adapter).map_err(refused)?;
    let mut tensors: BTreeMap<String, TensorView> = tensors.tensors().into_iter().collect();
    let layers: Vec<String> = tensors
        .keys()
        .filter_map(|name| name.strip_suffix(".up").map(str::to_owned))
        .collect();
    let weights = linear_layers(graph);
    for layer in &layers {
        let constant = weights.get(layer).ok_or_else(|| {
            refused(format_args!(
                "it has the layer {layer}, which the model does not have"
            ))
        })?;
        let up = halves(&taken(&mut tensors, &format!("{layer}.up"))?)?;
        let down = halves(&taken(&mut tensors, &format!("{layer}.down"))?)?;
        add_product(graph, constant, layer, &up, &down)?;
    }
    head::replace(graph, |name| floats(&taken(&mut tensors, name)?))?;
    match tensors.keys().next() {
        Some(name) => Err(refused(format_args!("its {name} is unknown"))),
        None => Ok(()),
    }
}

/// The error for an unusable adapter.
pub(super) fn refused(reason: impl std::fmt::Display) -> Error {
    Error::Adapter {
        reason: reason.to_string(),
    }
}

/// Names of the weights of linear layers, by the layer's name without the encoder's prefix.
fn linear_layers(graph: &GraphProto) -> BTreeMap<String, String> {
    let constant = |name: &&String| graph.initializer.iter().any(|of| of.name() == *name);
    let products: BTreeMap<&str, &NodeProto> = graph
        .node
        .iter()
        .filter(|node| node.op_type() == "MatMul")
        .filter_map(|node| node.output.first().map(|output| (output.as_str(), node)))
        .collect();
    let layer = |node: &NodeProto| {
        let bias = node.input.iter().find(constant)?;
        let layer = bias.strip_suffix(".bias")?;
        let product = node
            .input
            .iter()
            .find_map(|name| products.get(name.as_str()))?;
        let weight = product.input.get(1).filter(constant)?;
        let layer = layer.strip_prefix("bert.").unwrap_or(layer);
        Some((layer.to_owned(), weight.clone()))
    };
    let sums = graph.node.iter().filter(|node| node.op_type() == "Add");
    sums.filter_map(layer).collect()
}

/// A matrix by rows.
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }
}

fn taken<'a>(tensors: &mut BTreeMap<String, TensorView<'a>>, name: &str) -> Result<TensorView<'a>> {
    tensors
        .remove(name)
        .ok_or_else(|| refused(format_args!("it has no {name}")))
}

fn halves(view: &TensorView) -> Result<Matrix> {
    let ([rows, columns], Dtype::F16) = (view.shape(), view.dtype()) else {
        return Err(refused("a matrix of it is not in half precision"));
    };
    let (halves, _) = view.data().as_chunks();
    let values = halves.iter().copied().map(f16::from_le_bytes);
    Ok(Matrix {
        rows: *rows,
        columns: *columns,
        values: values.map(f64::from).collect(),
    })
}

/// A part in single precision.
fn floats(view: &TensorView) -> Result<head::Part> {
    if view.dtype() != Dtype::F32 {
        return Err(refused(
            "its pooler or classifier is not in single precision",
        ));
    }
    let (values, _) = view.data().as_chunks();
    let values = values.iter().copied().map(f32::from_le_bytes).collect();
    Ok((view.shape().to_vec(), values))
}

/// Adds `up · down` to the constant, which has a column for each output.
fn add_product(
    graph: &mut GraphProto,
    constant: &str,
    layer: &str,
    up: &Matrix,
    down: &Matrix,
) -> Result<()> {
    let shape = || {
        refused(format_args!(
            "its {layer} has a different shape than the model's"
        ))
    };
    let weight = tensor::named(graph, constant).ok_or_else(shape)?;
    let (inputs, outputs) = (down.columns, up.rows);
    if up.columns != down.rows || weight.dims != [inputs as i64, outputs as i64] {
        return Err(shape());
    }
    let mut values = tensor::floats(weight);
    for output in 0..outputs {
        let mut sums = vec![0.0; inputs];
        let mut most = vec![0.0; inputs];
        for (factor, row) in up.row(output).iter().zip(0..) {
            for ((sum, most), value) in sums.iter_mut().zip(&mut most).zip(down.row(row)) {
                *sum += factor * value;
                *most += (factor * value).abs();
            }
        }
        // Also true for NaN.
        if !most.iter().all(|most| *most < MOST_SUM) {
            return Err(refused(format_args!(
                "the sums of its {layer} reach {MOST_SUM}, too much for an exact merge"
            )));
        }
        for (input, sum) in sums.iter().enumerate() {
            let value = &mut values[input * outputs + output];
            *value = (f64::from(*value) + sum) as f32;
        }
    }
    *weight = float_tensor(constant, weight.dims.clone(), values);
    Ok(())
}

#[cfg(test)]
mod tests {
    use poq_reference_evaluator::onnx_proto::{ModelProto, TensorProto};
    use poq_reference_evaluator::{Kind, Model};
    use prost::Message;
    use safetensors::serialize;

    use super::*;
    use crate::registry::WEIGHTS;
    use crate::testing::model_file;

    const LAYER: &str = "encoder.layer.5.attention.self.query";

    /// Tensors by name: type, shape, bytes.
    type Parts = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

    /// An adapter for one layer with rank 2, and a head.
    fn parts() -> Parts {
        let halves = |values: &[f32]| -> Vec<u8> {
            let bytes = values
                .iter()
                .map(|value| f16::from_f32(*value).to_le_bytes());
            bytes.flatten().collect()
        };
        let floats = |number: usize, value: f32| value.to_le_bytes().repeat(number);
        let down: Vec<f32> = (0..2 * 384).map(|at| at as f32 / 1024.0).collect();
        let up: Vec<f32> = (0..2 * 384).map(|at| 0.25 - at as f32 / 2048.0).collect();
        [
            (
                format!("{LAYER}.down"),
                (Dtype::F16, vec![2, 384], halves(&down)),
            ),
            (
                format!("{LAYER}.up"),
                (Dtype::F16, vec![384, 2], halves(&up)),
            ),
            (
                "pooler.dense.weight".into(),
                (Dtype::F32, vec![384, 384], floats(384 * 384, 0.01)),
            ),
            (
                "pooler.dense.bias".into(),
                (Dtype::F32, vec![384], floats(384, 0.5)),
            ),
            (
                "classifier.weight".into(),
                (Dtype::F32, vec![1, 384], floats(384, 0.25)),
            ),
            (
                "classifier.bias".into(),
                (Dtype::F32, vec![1], floats(1, -1.0)),
            ),
        ]
        .into()
    }

    fn file(parts: &Parts, format: &str) -> Vec<u8> {
        let views = parts.iter().map(|(name, (dtype, shape, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let metadata = [("format".to_owned(), format.to_owned())].into();
        serialize(views, Some(metadata)).unwrap()
    }

    fn model(id: &str) -> ModelProto {
        let content = std::fs::read(model_file(id, WEIGHTS)).unwrap();
        ModelProto::decode(content.as_slice()).unwrap()
    }

    /// For both a cross-encoder, whose head it replaces, and a bi-encoder, which gets one.
    #[test]
    fn a_merged_model_is_a_cross_encoder_that_the_reference_evaluator_reads() {
        for id in ["ms-marco-minilm-l-12-v2", "bge-small-en-v1.5"] {
            let mut model = model(id);
            let graph = model.graph.as_mut().unwrap();
            let before = tensor::floats(weight(graph));
            merge(graph, &file(&parts(), FORMAT)).unwrap();
            let after = tensor::floats(weight(graph));
            // Row 3, column 7 of W is input 3 and output 7.
            let (up, down) = (|at| 0.25 - at / 2048.0, |at| at / 1024.0);
            let sum: f64 = up(14.0) * down(3.0) + up(15.0) * down(387.0);
            let place = 3 * 384 + 7;
            assert_eq!(after[place], (f64::from(before[place]) + sum) as f32);

            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(WEIGHTS);
            let content = model.encode_to_vec();
            std::fs::write(&path, &content).unwrap();
            let sha256 = poq_client::digest::of_bytes(&content);
            Model::open(Kind::CrossEncoder, &path, &sha256).unwrap();
        }
    }

    fn weight(graph: &mut GraphProto) -> &mut TensorProto {
        let name = linear_layers(graph)[LAYER].clone();
        tensor::named(graph, &name).unwrap()
    }

    #[test]
    fn what_is_no_adapter_of_the_model_is_refused() {
        let merged = |change: &dyn Fn(&mut Parts), format: &str| {
            let mut parts = parts();
            change(&mut parts);
            let mut model = model("bge-small-en-v1.5");
            let graph = model.graph.as_mut().unwrap();
            merge(graph, &file(&parts, format)).unwrap_err().to_string()
        };
        let unchanged = |_: &mut Parts| ();
        let renamed = |from: &'static str, to: &'static str| {
            move |parts: &mut Parts| {
                let part = parts.remove(from).unwrap();
                parts.insert(to.into(), part);
            }
        };
        let down = "encoder.layer.5.attention.self.query.down";
        let up = "encoder.layer.5.attention.self.query.up";
        assert!(merged(&unchanged, "other").contains("its format is not"));
        assert!(merged(&renamed(down, "x"), FORMAT).contains("it has no encoder.layer.5"));
        assert!(
            merged(&renamed(up, "encoder.layer.99.up"), FORMAT)
                .contains("which the model does not have")
        );
        assert!(merged(&renamed("classifier.bias", "x"), FORMAT).contains("it has no classifier"));
        let extra = |parts: &mut Parts| {
            parts.insert("x".into(), (Dtype::F32, vec![], vec![0; 4]));
        };
        assert!(merged(&extra, FORMAT).contains("its x is unknown"));
        let narrow = |parts: &mut Parts| {
            parts.insert(
                down.into(),
                (Dtype::F16, vec![2, 383], vec![0; 2 * 2 * 383]),
            );
        };
        assert!(merged(&narrow, FORMAT).contains("a different shape"));
        let huge = |parts: &mut Parts| {
            parts.get_mut(down).unwrap().2 = f16::MAX.to_le_bytes().repeat(2 * 384);
        };
        assert!(merged(&huge, FORMAT).contains("too much for an exact merge"));
        let mut bge = model("bge-small-en-v1.5");
        let graph = bge.graph.as_mut().unwrap();
        assert!(merge(graph, b"not safetensors").is_err());
    }
}
