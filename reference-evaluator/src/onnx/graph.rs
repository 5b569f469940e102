//! Finds the node that computes a value and checks its operator.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::proto::{GraphProto, NodeProto, TensorProto};
use super::tensor;

type Result<T> = std::result::Result<T, Error>;

/// A graph, indexed by the names of its values.
pub(super) struct Graph<'a> {
    nodes: BTreeMap<&'a str, &'a NodeProto>,
    constants: BTreeMap<&'a str, &'a TensorProto>,
    inputs: BTreeSet<&'a str>,
}

/// Returns the error "`tensor` is not `expected`".
pub(super) fn not<T>(tensor: &str, expected: &'static str) -> Result<T> {
    Err(Error::Graph {
        tensor: tensor.to_owned(),
        expected,
    })
}

impl<'a> Graph<'a> {
    /// Indexes a graph. Every value must be defined once.
    pub(super) fn new(graph: &'a GraphProto) -> Result<Self> {
        let mut nodes = BTreeMap::new();
        let mut constants = BTreeMap::new();
        for constant in &graph.initializer {
            if constants.insert(constant.name(), constant).is_some() {
                return not(constant.name(), "defined once");
            }
        }
        for node in &graph.node {
            for output in &node.output {
                let value = node.attribute.iter().find(|value| value.name() == "value");
                let previous = match value.and_then(|value| value.t.as_ref()) {
                    Some(value) if node.op_type() == "Constant" => {
                        constants.insert(output, value).is_some()
                    }
                    _ => nodes.insert(output.as_str(), node).is_some(),
                };
                if previous {
                    return not(output, "defined once");
                }
            }
        }
        let inputs = graph.input.iter().map(|input| input.name()).collect();
        Ok(Self {
            nodes,
            constants,
            inputs,
        })
    }

    /// The node that computes `value`, if it is this operator of the standard ONNX domain.
    pub(super) fn find(&self, value: &str, operator: &str) -> Option<&'a NodeProto> {
        let node = *self.nodes.get(value)?;
        (node.op_type() == operator && node.domain().is_empty()).then_some(node)
    }

    /// The inputs of the node that computes `value`, which must be this operator with `COUNT` inputs.
    pub(super) fn inputs<const COUNT: usize>(
        &self,
        value: &str,
        operator: &'static str,
    ) -> Result<[&'a str; COUNT]> {
        let inputs = self.find(value, operator).map(|node| {
            let mut names = node.input.iter().map(String::as_str);
            let inputs = [(); COUNT].map(|()| names.next().unwrap_or_default());
            (inputs, node.input.len() == COUNT)
        });
        match inputs {
            Some((inputs, true)) => Ok(inputs),
            _ => not(value, operator),
        }
    }

    /// The integers of an attribute, or its single integer.
    pub(super) fn attribute(&self, value: &str, name: &str) -> Vec<i64> {
        let node = self.nodes.get(value);
        let attribute =
            node.and_then(|node| node.attribute.iter().find(|found| found.name() == name));
        match attribute {
            Some(attribute) if attribute.ints.is_empty() => vec![attribute.i()],
            Some(attribute) => attribute.ints.clone(),
            None => Vec::new(),
        }
    }

    /// A constant.
    pub(super) fn constant(&self, name: &str) -> Result<&'a TensorProto> {
        match self.constants.get(name) {
            Some(constant) => Ok(constant),
            None => not(name, "a constant"),
        }
    }

    /// The number of a scalar constant.
    pub(super) fn number(&self, name: &str) -> Result<f32> {
        tensor::float(self.constant(name)?)
    }

    /// Checks that the constant `name` is `expected`.
    pub(super) fn check(&self, name: &str, expected: f32, what: &'static str) -> Result<()> {
        if self.number(name)?.to_bits() == expected.to_bits() {
            Ok(())
        } else {
            not(name, what)
        }
    }

    /// The two inputs of a commutative operator, with the constant last.
    pub(super) fn with_constant(
        &self,
        value: &str,
        operator: &'static str,
    ) -> Result<(&'a str, &'a TensorProto)> {
        let [a, b] = self.inputs(value, operator)?;
        match (self.constants.get(a), self.constants.get(b)) {
            (Some(constant), None) => Ok((b, constant)),
            (None, Some(constant)) => Ok((a, constant)),
            _ => not(value, "an operation with one constant"),
        }
    }

    /// Checks that `value` depends on the input `name` and, except for shapes, on no other input.
    pub(super) fn depends_only_on(&self, value: &str, name: &str) -> Result<()> {
        let mut seen = BTreeSet::new();
        let mut open = vec![value];
        while let Some(next) = open.pop() {
            if self.inputs.contains(next) && next != name {
                return not(value, "computed from one input");
            }
            let node = self
                .nodes
                .get(next)
                .filter(|node| node.op_type() != "Shape");
            if let Some(node) = node
                && seen.insert(next)
            {
                open.extend(node.input.iter().map(String::as_str));
            } else {
                seen.insert(next);
            }
        }
        if seen.contains(name) {
            Ok(())
        } else {
            not(value, "computed from the right input")
        }
    }
}
