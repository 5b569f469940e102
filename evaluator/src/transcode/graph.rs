//! Replaces the dynamically quantised matrix products of a graph by f32 products.
//!
//! What ONNX Runtime's dynamic quantisation writes for one product `Y = X · W`:
//!
//! ```text
//! X ─ DynamicQuantizeLinear ─┬─ Xq, zero point ─ MatMulInteger(Wq, zero point) ─ Cast ─┐
//!                            └─ scale ─ Mul(scale of W) ───────────────────────────── Mul ─ Y
//! ```
//!
//! becomes `Y = MatMul(X, W)` with `W = (Wq − zero point) · scale of W`.

use std::collections::{BTreeMap, BTreeSet};

use super::onnx::{GraphProto, NodeProto, TensorProto};
use super::tensor::dequantize;
use super::{Error, Result};

/// Names of one quantised product's parts.
struct Product {
    /// The node that is replaced.
    node: usize,
    activation: String,
    output: String,
    weight: Weight,
    /// The nodes that go away with it; the quantisation of the activation is shared.
    obsolete: [usize; 4],
}

struct Weight {
    quantized: String,
    zero_point: String,
    scale: String,
}

impl Weight {
    /// The tensor's name before it was quantised.
    fn name(&self) -> String {
        let name = &self.quantized;
        name.strip_suffix("_quantized").unwrap_or(name).to_owned()
    }
}

/// Rewrites every quantised product, in the order of the nodes. Calls `progress` after each one
/// with the number done and the number of all. Returns that number.
pub fn dequantize_products(
    graph: &mut GraphProto,
    mut progress: impl FnMut(usize, usize),
) -> Result<usize> {
    let products = find_products(graph)?;
    let mut weights = BTreeMap::new();
    let mut replaced = BTreeSet::new();
    let mut obsolete = BTreeSet::new();
    for (index, product) in products.iter().enumerate() {
        let weight = &product.weight;
        let tensor = dequantize(
            weight.name(),
            initializer(graph, &weight.quantized)?,
            initializer(graph, &weight.zero_point)?,
            initializer(graph, &weight.scale)?,
        )?;
        weights.insert(weight.quantized.clone(), tensor);
        replaced.extend([weight.zero_point.clone(), weight.scale.clone()]);
        obsolete.extend(product.obsolete);
        progress(index + 1, products.len());
    }
    for product in &products {
        graph.node[product.node] = mat_mul(product, &graph.node[product.node]);
    }
    let mut index = 0..;
    graph
        .node
        .retain(|_| !index.next().is_some_and(|index| obsolete.contains(&index)));
    replace_initializers(graph, weights, &replaced);
    Ok(products.len())
}

fn mat_mul(product: &Product, integer: &NodeProto) -> NodeProto {
    let name = integer.name();
    NodeProto {
        input: vec![product.activation.clone(), product.weight.name()],
        output: vec![product.output.clone()],
        name: Some(name.strip_suffix("_quant").unwrap_or(name).to_owned()),
        op_type: Some("MatMul".to_owned()),
        ..NodeProto::default()
    }
}

/// Puts each weight in the place of its quantised form and drops what nothing reads any more.
fn replace_initializers(
    graph: &mut GraphProto,
    mut weights: BTreeMap<String, TensorProto>,
    replaced: &BTreeSet<String>,
) {
    for tensor in &mut graph.initializer {
        if let Some(weight) = weights.remove(tensor.name()) {
            *tensor = weight;
        }
    }
    graph
        .initializer
        .retain(|tensor| !replaced.contains(tensor.name()));
}

fn find_products(graph: &GraphProto) -> Result<Vec<Product>> {
    let links = Links::new(&graph.node);
    graph
        .node
        .iter()
        .enumerate()
        .filter(|(_, node)| node.op_type() == "MatMulInteger")
        .map(|(index, node)| links.product(index, node))
        .collect()
}

/// Who writes and who reads each value of a graph.
struct Links<'a> {
    nodes: &'a [NodeProto],
    writer: BTreeMap<&'a str, usize>,
    readers: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Links<'a> {
    fn new(nodes: &'a [NodeProto]) -> Self {
        let mut writer = BTreeMap::new();
        let mut readers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for output in &node.output {
                writer.insert(output.as_str(), index);
            }
            for input in &node.input {
                readers.entry(input.as_str()).or_default().push(index);
            }
        }
        Self {
            nodes,
            writer,
            readers,
        }
    }

    fn product(&self, index: usize, node: &NodeProto) -> Result<Product> {
        let unexpected = || Error::Product {
            node: node.name().to_owned(),
        };
        let [
            quantized_activation,
            quantized,
            activation_zero_point,
            zero_point,
        ] = node.input.as_slice()
        else {
            return Err(unexpected());
        };
        let quantize = self
            .written_by(quantized_activation, "DynamicQuantizeLinear")
            .ok_or_else(unexpected)?;
        let cast = self.read_by(first(node), "Cast").ok_or_else(unexpected)?;
        let cast_output = first(&self.nodes[cast]);
        let rescale = self.read_by(cast_output, "Mul").ok_or_else(unexpected)?;
        let scales_output =
            other_input(&self.nodes[rescale], cast_output).ok_or_else(unexpected)?;
        let scales = self
            .written_by(scales_output, "Mul")
            .ok_or_else(unexpected)?;
        let [values, activation_scale, activation_offset] = self.nodes[quantize].output.as_slice()
        else {
            return Err(unexpected());
        };
        if values != quantized_activation || activation_offset != activation_zero_point {
            return Err(unexpected());
        }
        let scale = other_input(&self.nodes[scales], activation_scale).ok_or_else(unexpected)?;
        Ok(Product {
            node: index,
            activation: self.nodes[quantize]
                .input
                .first()
                .ok_or_else(unexpected)?
                .clone(),
            output: first(&self.nodes[rescale]).to_owned(),
            weight: Weight {
                quantized: quantized.clone(),
                zero_point: zero_point.clone(),
                scale: scale.to_owned(),
            },
            obsolete: [quantize, cast, rescale, scales],
        })
    }

    fn written_by(&self, value: &str, op_type: &str) -> Option<usize> {
        let index = *self.writer.get(value)?;
        (self.nodes[index].op_type() == op_type).then_some(index)
    }

    /// The only reader of `value`.
    fn read_by(&self, value: &str, op_type: &str) -> Option<usize> {
        match self.readers.get(value)?.as_slice() {
            [index] if self.nodes[*index].op_type() == op_type => Some(*index),
            _ => None,
        }
    }
}

fn first(node: &NodeProto) -> &str {
    node.output.first().map_or("", String::as_str)
}

/// The input of a two-input node that is not `known`.
fn other_input<'a>(node: &'a NodeProto, known: &str) -> Option<&'a str> {
    match node.input.as_slice() {
        [a, b] if a == known => Some(b),
        [a, b] if b == known => Some(a),
        _ => None,
    }
}

fn initializer<'a>(graph: &'a GraphProto, name: &str) -> Result<&'a TensorProto> {
    graph
        .initializer
        .iter()
        .find(|tensor| tensor.name() == name)
        .ok_or_else(|| Error::Initializer {
            name: name.to_owned(),
        })
}
