//! The head of a cross-encoder: `classifier(tanh(pooler(row of [CLS])))`.

use super::Result;
use super::adapter::refused;
use super::onnx::tensor_proto::DataType;
use super::onnx::type_proto::{Tensor, Value};
use super::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto, TensorShapeProto};
use super::tensor::{self, float_tensor};

const LOGITS: &str = "logits";
/// ONNX's `AttributeProto.AttributeType.INT`.
const INT: i32 = 2;

/// Shape and values of a part of an adapter, where a matrix has a row for each output.
pub type Part = (Vec<usize>, Vec<f32>);

/// Gives the graph the head whose parts are known by their names in transformers; adds one to a bi-encoder.
pub fn replace(graph: &mut GraphProto, mut part: impl FnMut(&str) -> Result<Part>) -> Result<()> {
    let [output] = graph.output.as_slice() else {
        return Err(refused("the model has more than one output"));
    };
    let prefix = match output.name() {
        LOGITS => "bert.",
        rows => {
            let rows = rows.to_owned();
            add_nodes(graph, &rows);
            ""
        }
    };
    for (name, of) in [
        (format!("{prefix}pooler.dense"), "pooler.dense"),
        ("classifier".to_owned(), "classifier"),
    ] {
        let (weight, bias) = (part(&format!("{of}.weight"))?, part(&format!("{of}.bias"))?);
        set(graph, &name, weight, bias)?;
    }
    Ok(())
}

/// Replaces weight and bias of one linear layer, or adds them.
fn set(
    graph: &mut GraphProto,
    name: &str,
    (shape, rows): Part,
    (biases, bias): Part,
) -> Result<()> {
    let [outputs, inputs] = shape[..] else {
        return Err(refused(format_args!("its {name} is not a linear layer")));
    };
    let columns: Vec<f32> = (0..inputs)
        .flat_map(|input| (0..outputs).map(move |output| output * inputs + input))
        .map(|place| rows[place])
        .collect();
    put(
        graph,
        float_tensor(&format!("{name}.weight"), &[inputs, outputs], &columns),
    )?;
    put(graph, float_tensor(&format!("{name}.bias"), &biases, &bias))
}

fn put(graph: &mut GraphProto, tensor: TensorProto) -> Result<()> {
    match tensor::named(graph, tensor.name()) {
        Ok(old) if old.dims == tensor.dims => *old = tensor,
        Ok(old) => {
            let name = old.name();
            return Err(refused(format_args!(
                "its {name} has another shape than the model's"
            )));
        }
        Err(_) => graph.initializer.push(tensor),
    }
    Ok(())
}

/// Makes `logits` of the rows of the last layer.
fn add_nodes(graph: &mut GraphProto, rows: &str) {
    const FIRST: &str = "pooler.first";
    let node = |operator: &str, inputs: &[&str], output: &str| NodeProto {
        input: inputs.iter().map(|of| of.to_string()).collect(),
        output: vec![output.to_owned()],
        name: Some(format!("/{output}")),
        op_type: Some(operator.to_owned()),
        ..NodeProto::default()
    };
    let mut gather = node("Gather", &[rows, FIRST], "pooler.row");
    gather.attribute = vec![AttributeProto {
        name: Some("axis".to_owned()),
        i: Some(1),
        r#type: Some(INT),
        ..AttributeProto::default()
    }];
    graph.node.extend([
        gather,
        node(
            "MatMul",
            &["pooler.row", "pooler.dense.weight"],
            "pooler.product",
        ),
        node(
            "Add",
            &["pooler.product", "pooler.dense.bias"],
            "pooler.sum",
        ),
        node("Tanh", &["pooler.sum"], "pooler.tanh"),
        node(
            "MatMul",
            &["pooler.tanh", "classifier.weight"],
            "classifier.product",
        ),
        node("Add", &["classifier.product", "classifier.bias"], LOGITS),
    ]);
    graph.initializer.push(TensorProto {
        name: Some(FIRST.to_owned()),
        data_type: Some(DataType::Int64 as i32),
        raw_data: Some(0_i64.to_le_bytes().to_vec()),
        ..TensorProto::default()
    });
    let output = &mut graph.output[0];
    output.name = Some(LOGITS.to_owned());
    if let Some(Value::TensorType(Tensor {
        shape: Some(TensorShapeProto { dim }),
        ..
    })) = output.r#type.as_mut().and_then(|of| of.value.as_mut())
    {
        // [batch, sequence, hidden] becomes [batch, 1].
        dim.truncate(2);
        if let Some(last) = dim.last_mut() {
            last.value = Some(super::onnx::tensor_shape_proto::dimension::Value::DimValue(
                1,
            ));
        }
    }
}
