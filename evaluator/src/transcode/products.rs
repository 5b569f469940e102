//! Replaces the dynamically quantised matrix products of a graph by f32 products.
//!
//! ONNX Runtime's dynamic quantisation writes one product `Y = X · W` as
//!
//! ```text
//! X ─ DynamicQuantizeLinear ─┬─ Xq, zero point ─ MatMulInteger(Wq, zero point) ─ Cast ─┐
//!                            └─ scale ─ Mul(scale of W) ───────────────────────────── Mul ─ Y
//! ```
//!
//! becomes `Y = MatMul(X, W)` with `W = (Wq − zero point) · scale of W`.

use std::collections::{BTreeMap, BTreeSet};

use poq_reference_evaluator::onnx_proto::{GraphProto, NodeProto};

use super::tensor::{dequantized, named};

/// One quantised product.
struct Product {
    /// The node that is replaced.
    place: usize,
    /// The nodes that are removed with it; the quantisation of the activation is shared.
    obsolete: [usize; 4],
    matrix: NodeProto,
    /// Quantised weight, zero point and scale.
    constants: [String; 3],
}

/// Rewrites every quantised product. `None` if the graph does not have this form.
pub(super) fn dequantize(graph: &mut GraphProto) -> Option<()> {
    let products = products(&graph.node);
    let mut weights = BTreeMap::new();
    let mut replaced = BTreeSet::new();
    let mut obsolete = BTreeSet::new();
    for product in products {
        let [quantized, zero_point, scale] = &product.constants;
        let [weight, zero, factor] =
            [quantized, zero_point, scale].map(|name| named(graph, name).cloned());
        let name = product.matrix.input.last()?.clone();
        weights.insert(
            quantized.clone(),
            dequantized(name, weight?, &zero?, &factor?)?,
        );
        replaced.extend([zero_point.clone(), scale.clone()]);
        obsolete.extend(product.obsolete);
        graph.node[product.place] = product.matrix;
    }
    let mut place = 0..;
    let is_obsolete = |place| obsolete.contains(&place);
    graph
        .node
        .retain(|_| !place.next().is_some_and(is_obsolete));
    for tensor in &mut graph.initializer {
        if let Some(weight) = weights.remove(tensor.name()) {
            *tensor = weight;
        }
    }
    let is_read = |name: &str| !replaced.contains(name);
    graph.initializer.retain(|tensor| is_read(tensor.name()));
    let is_left = |node: &NodeProto| node.op_type() == "MatMulInteger";
    (!graph.node.iter().any(is_left)).then_some(())
}

fn products(nodes: &[NodeProto]) -> Vec<Product> {
    let outputs = |(place, node): (usize, &'_ NodeProto)| {
        let outputs = node.output.iter().cloned();
        outputs
            .map(move |output| (output, place))
            .collect::<Vec<_>>()
    };
    let writers: BTreeMap<String, usize> = nodes.iter().enumerate().flat_map(outputs).collect();
    // The node that writes `value`, if it has this operator.
    let writer = |value: &str, operator: &str| {
        let place = *writers.get(value)?;
        (nodes[place].op_type() == operator).then_some(place)
    };
    let product = |(rescale, node): (usize, &NodeProto)| {
        let [a, b] = node.input.as_slice() else {
            return None;
        };
        let parts = |(product, scales): (&String, &String)| {
            Some((writer(product, "Cast")?, writer(scales, "Mul")?))
        };
        let (cast, scales) = parts((a, b)).or_else(|| parts((b, a)))?;
        let place = writer(nodes[cast].input.first()?, "MatMulInteger")?;
        let [values, quantized, _, zero_point] = nodes[place].input.as_slice() else {
            return None;
        };
        let quantize = writer(values, "DynamicQuantizeLinear")?;
        let activation_scale = nodes[quantize].output.get(1)?;
        let mut factors = nodes[scales].input.iter();
        let scale = factors.find(|factor| *factor != activation_scale)?;
        let name = nodes[place].name();
        let weight = quantized.strip_suffix("_quantized").unwrap_or(quantized);
        Some(Product {
            place,
            obsolete: [quantize, cast, rescale, scales],
            matrix: NodeProto {
                input: vec![nodes[quantize].input.first()?.clone(), weight.to_owned()],
                output: node.output.clone(),
                name: Some(name.strip_suffix(b"_quant").unwrap_or(name).to_vec().into()),
                op_type: Some("MatMul".to_owned()),
                ..NodeProto::default()
            },
            constants: [quantized, zero_point, scale].map(Clone::clone),
        })
    };
    let muls = nodes.iter().enumerate();
    muls.filter(|(_, node)| node.op_type() == "Mul")
        .filter_map(product)
        .collect()
}
