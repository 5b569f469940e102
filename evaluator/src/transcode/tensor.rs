//! Typed access to the constants of a graph, and dequantisation of a weight matrix.

use poq_reference_evaluator::onnx_proto::{FLOAT, GraphProto, INT8, TensorProto};

/// The constant with this name.
pub(super) fn named<'a>(graph: &'a mut GraphProto, name: &str) -> Option<&'a mut TensorProto> {
    graph.initializer.iter_mut().find(|of| of.name() == name)
}

/// A little-endian f32 tensor.
pub(super) fn float_tensor(
    name: &str,
    dims: Vec<i64>,
    values: impl IntoIterator<Item = f32>,
) -> TensorProto {
    let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    TensorProto {
        dims,
        data_type: Some(FLOAT),
        name: Some(name.to_owned()),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    }
}

/// `(quantized − zero_point) · scale`. Every difference is exact and every product is rounded once,
/// so the bytes are the same on every machine. Zero point and scale are one number each, or one per
/// column. `None` for any other number of them.
pub(super) fn dequantized(
    name: String,
    quantized: TensorProto,
    zero_point: &TensorProto,
    scale: &TensorProto,
) -> Option<TensorProto> {
    let columns = usize::try_from(*quantized.dims.last()?).ok()?;
    let zero_points = per_column(integers(zero_point), columns)?;
    let scales = per_column(floats(scale), columns)?;
    let shifts = zero_points.iter().zip(&scales).cycle();
    let values = integers(&quantized).into_iter().zip(shifts);
    let values = values.map(|(value, (zero, scale))| (value - zero) as f32 * scale);
    Some(float_tensor(&name, quantized.dims, values))
}

fn per_column<T: Copy>(values: Vec<T>, columns: usize) -> Option<Vec<T>> {
    match values.as_slice() {
        [value] => Some(vec![*value; columns]),
        _ => (values.len() == columns).then_some(values),
    }
}

/// The elements of 8-bit integers, in either of their two storage forms.
fn integers(tensor: &TensorProto) -> Vec<i32> {
    let raw = tensor.raw_data().iter();
    match (tensor.raw_data(), tensor.data_type()) {
        ([], _) => tensor.int32_data.clone(),
        (_, INT8) => raw.map(|byte| i32::from(*byte as i8)).collect(),
        _ => raw.map(|byte| i32::from(*byte)).collect(),
    }
}

/// The elements of single-precision numbers, in either of their two storage forms.
pub(super) fn floats(tensor: &TensorProto) -> Vec<f32> {
    match tensor.raw_data().as_chunks().0 {
        [] => tensor.float_data.clone(),
        raw => raw.iter().copied().map(f32::from_le_bytes).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int8(dims: &[i64], bytes: &[u8]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(INT8),
            raw_data: Some(bytes.to_vec().into()),
            ..TensorProto::default()
        }
    }

    #[test]
    fn subtracts_the_zero_point_and_scales() {
        let quantized = int8(&[2, 2], &[0, 1, 127, 0x80]);
        let scale = float_tensor("s", Vec::new(), [0.5]);
        let tensor = dequantized("w".into(), quantized, &int8(&[], &[0xFF]), &scale).unwrap();
        assert_eq!(floats(&tensor), [0.5, 1.0, 64.0, -63.5]);
        assert_eq!(tensor.dims, [2, 2]);
    }

    #[test]
    fn a_column_may_have_its_own_zero_point_and_scale() {
        let quantized = int8(&[2, 2], &[10, 10, 20, 20]);
        let mut zero_points = int8(&[2], &[]);
        zero_points.int32_data = vec![0, 2];
        let scales = TensorProto {
            dims: vec![2],
            float_data: vec![0.5, 0.25],
            ..TensorProto::default()
        };
        let tensor = dequantized("w".into(), quantized.clone(), &zero_points, &scales).unwrap();
        assert_eq!(floats(&tensor), [5.0, 2.0, 10.0, 4.5]);
        let three = int8(&[3], &[0, 0, 0]);
        assert_eq!(dequantized("w".into(), quantized, &three, &scales), None);
    }
}
