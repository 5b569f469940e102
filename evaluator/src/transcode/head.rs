//! The head of a cross-encoder: `classifier(tanh(pooler(row of [CLS])))`.

use poq_reference_evaluator::onnx_proto::{
    AttributeProto, GraphProto, INT64, NodeProto, TensorProto,
};
use prost::Message;
use prost::bytes::Bytes;

use super::Result;
use super::adapter::refused;
use super::tensor::{self, float_tensor};

const LOGITS: &str = "logits";
/// ONNX's `AttributeProto.AttributeType.INT`.
const INT: i32 = 2;
/// A `TensorShapeProto.Dimension` with the `dim_value` 1, encoded.
const DIM_VALUE_1: &[u8] = &[0x08, 0x01];

/// Shape and values of a part of an adapter; a matrix has a row for each output.
pub(super) type Part = (Vec<usize>, Vec<f32>);

/// Replaces the graph's head by one whose parts have their names in transformers; adds one to a
/// bi-encoder.
pub(super) fn replace(
    graph: &mut GraphProto,
    mut part: impl FnMut(&str) -> Result<Part>,
) -> Result<()> {
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
    let columns = (0..inputs)
        .flat_map(|input| (0..outputs).map(move |output| output * inputs + input))
        .map(|place| rows[place]);
    let dims = vec![inputs as i64, outputs as i64];
    put(
        graph,
        float_tensor(&format!("{name}.weight"), dims, columns),
    )?;
    let dims = biases.iter().map(|length| *length as i64).collect();
    put(graph, float_tensor(&format!("{name}.bias"), dims, bias))
}

fn put(graph: &mut GraphProto, tensor: TensorProto) -> Result<()> {
    match tensor::named(graph, tensor.name()) {
        Some(old) if old.dims == tensor.dims => *old = tensor,
        Some(old) => {
            let name = old.name();
            return Err(refused(format_args!(
                "its {name} has a different shape than the model's"
            )));
        }
        None => graph.initializer.push(tensor),
    }
    Ok(())
}

/// Computes `logits` from the rows of the last layer.
fn add_nodes(graph: &mut GraphProto, rows: &str) {
    const FIRST: &str = "pooler.first";
    let node = |operator: &str, inputs: &[&str], output: &str| NodeProto {
        input: inputs.iter().map(|of| of.to_string()).collect(),
        output: vec![output.to_owned()],
        name: Some(format!("/{output}").into()),
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
    graph.node.push(gather);
    for (operator, inputs, output) in [
        (
            "MatMul",
            &["pooler.row", "pooler.dense.weight"][..],
            "pooler.product",
        ),
        (
            "Add",
            &["pooler.product", "pooler.dense.bias"],
            "pooler.sum",
        ),
        ("Tanh", &["pooler.sum"], "pooler.tanh"),
        (
            "MatMul",
            &["pooler.tanh", "classifier.weight"],
            "classifier.product",
        ),
        ("Add", &["classifier.product", "classifier.bias"], LOGITS),
    ] {
        graph.node.push(node(operator, inputs, output));
    }
    graph.initializer.push(TensorProto {
        name: Some(FIRST.to_owned()),
        data_type: Some(INT64),
        raw_data: Some(Bytes::from_static(&[0; 8])),
        ..TensorProto::default()
    });
    let output = &mut graph.output[0];
    output.name = Some(LOGITS.to_owned());
    output.r#type = output.r#type.take().map(of_logits);
}

/// A `TypeProto` whose shape `[batch, sequence, hidden]` becomes `[batch, 1]`.
fn of_logits(of_rows: Bytes) -> Bytes {
    let Ok(mut logits) = TypeProto::decode(of_rows.clone()) else {
        return of_rows;
    };
    if let Some(shape) = logits.tensor_type.as_mut().and_then(|of| of.shape.as_mut()) {
        shape.dim.truncate(2);
        if let Some(last) = shape.dim.last_mut() {
            *last = Bytes::from_static(DIM_VALUE_1);
        }
    }
    logits.encode_to_vec().into()
}

/// The part of ONNX's output type that these models use.
#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, optional, tag = "1")]
    elem_type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    dim: Vec<Bytes>,
}
