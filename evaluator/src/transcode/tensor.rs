//! Typed access to the constants of a graph, and the dequantisation of a weight matrix.

use super::onnx::tensor_proto::{DataLocation, DataType};
use super::onnx::{GraphProto, TensorProto};
use super::{Error, Result};

/// `(quantized − zero_point) · scale` as a little-endian f32 tensor: every difference is exact,
/// every product is rounded once, so the bytes are the same on every machine. Zero point and scale
/// are one number each, or one for each column.
pub fn dequantize(
    name: String,
    quantized: &TensorProto,
    zero_point: &TensorProto,
    scale: &TensorProto,
) -> Result<TensorProto> {
    let columns = quantized.dims.last();
    let columns = columns.and_then(|columns| usize::try_from(*columns).ok());
    let zero_points = per_column(zero_point, integers(zero_point)?, columns)?;
    let scales = per_column(scale, floats(scale)?, columns)?;
    let raw_data = integers(quantized)?
        .into_iter()
        .zip(zero_points.iter().zip(&scales).cycle())
        .flat_map(|(value, (zero, scale))| ((value - zero) as f32 * scale).to_le_bytes())
        .collect();
    Ok(TensorProto {
        dims: quantized.dims.clone(),
        data_type: Some(DataType::Float as i32),
        name: Some(name),
        raw_data: Some(raw_data),
        ..TensorProto::default()
    })
}

/// A little-endian f32 tensor.
pub fn float_tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.iter().map(|length| *length as i64).collect(),
        data_type: Some(DataType::Float as i32),
        name: Some(name.to_owned()),
        raw_data: Some(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
        ..TensorProto::default()
    }
}

/// The constant of this name.
pub fn named<'a>(graph: &'a mut GraphProto, name: &str) -> Result<&'a mut TensorProto> {
    let found = graph.initializer.iter_mut().find(|of| of.name() == name);
    found.ok_or_else(|| Error::Initializer {
        name: name.to_owned(),
    })
}

/// As many values as there are columns, from that many or from one for all.
fn per_column<T: Copy>(
    tensor: &TensorProto,
    values: Vec<T>,
    columns: Option<usize>,
) -> Result<Vec<T>> {
    match (values.as_slice(), columns) {
        ([value], columns) => Ok(vec![*value; columns.unwrap_or(1)]),
        (_, Some(columns)) if values.len() == columns => Ok(values),
        _ => Err(unexpected(tensor, "one value, or one for each column")),
    }
}

/// Refuses a constant whose data is in another file, and leaves out the redundant mark that it is
/// not: the canonical file has no marks on its new constants either.
pub fn require_embedded(tensor: &mut TensorProto) -> Result<()> {
    if tensor.data_location() != DataLocation::Default {
        return Err(unexpected(tensor, "part of the file"));
    }
    tensor.data_location = None;
    Ok(())
}

/// The elements of 8-bit integers, whichever of the two forms they are stored in.
fn integers(tensor: &TensorProto) -> Result<Vec<i32>> {
    let signed = is_signed(tensor)?;
    let values: Vec<i32> = match (tensor.raw_data(), tensor.int32_data.as_slice()) {
        ([], values) => values.to_vec(),
        (raw, []) if signed => raw.iter().map(|byte| i32::from(*byte as i8)).collect(),
        (raw, []) => raw.iter().copied().map(i32::from).collect(),
        _ => return Err(unexpected(tensor, "in one form only")),
    };
    let range = if signed { -128..=127 } else { 0..=255 };
    match values.iter().all(|value| range.contains(value)) {
        true => complete(tensor, values),
        false => Err(unexpected(tensor, "8-bit integers")),
    }
}

/// The elements of single-precision numbers, whichever of the two forms they are stored in.
pub fn floats(tensor: &TensorProto) -> Result<Vec<f32>> {
    if tensor.data_type() != DataType::Float as i32 {
        return Err(unexpected(tensor, "floats"));
    }
    let (raw, rest) = tensor.raw_data().as_chunks();
    let values = match (raw, rest, tensor.float_data.as_slice()) {
        ([], [], values) => values.to_vec(),
        (raw, [], []) => raw.iter().copied().map(f32::from_le_bytes).collect(),
        _ => return Err(unexpected(tensor, "in one form only")),
    };
    complete(tensor, values)
}

/// The values, if there are as many as the tensor's shape says.
fn complete<T>(tensor: &TensorProto, values: Vec<T>) -> Result<Vec<T>> {
    let elements = tensor.dims.iter().try_fold(1_usize, |product, dim| {
        product.checked_mul(usize::try_from(*dim).ok()?)
    });
    match elements == Some(values.len()) {
        true => Ok(values),
        false => Err(unexpected(tensor, "as many values as elements")),
    }
}

fn is_signed(tensor: &TensorProto) -> Result<bool> {
    match DataType::try_from(tensor.data_type()) {
        Ok(DataType::Int8) => Ok(true),
        Ok(DataType::Uint8) => Ok(false),
        _ => Err(unexpected(tensor, "8-bit integers")),
    }
}

fn unexpected(tensor: &TensorProto, expected: &'static str) -> Error {
    Error::Tensor {
        name: tensor.name().to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int8(dims: &[i64], bytes: &[u8]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(DataType::Int8 as i32),
            raw_data: Some(bytes.to_vec()),
            ..TensorProto::default()
        }
    }

    fn float(value: f32) -> TensorProto {
        TensorProto {
            data_type: Some(DataType::Float as i32),
            float_data: vec![value],
            ..TensorProto::default()
        }
    }

    fn values(tensor: &TensorProto) -> Vec<f32> {
        floats(tensor).unwrap()
    }

    #[test]
    fn subtracts_the_zero_point_and_scales() {
        let quantized = int8(&[2, 2], &[0, 1, 127, 0x80]);
        let tensor = dequantize("w".into(), &quantized, &int8(&[], &[0xFF]), &float(0.5)).unwrap();
        assert_eq!(values(&tensor), [0.5, 1.0, 64.0, -63.5]);
        assert_eq!(tensor.dims, [2, 2]);
    }

    #[test]
    fn a_column_may_have_its_own_zero_point_and_scale() {
        let quantized = int8(&[2, 2], &[10, 10, 20, 20]);
        let mut zero_points = int8(&[2], &[]);
        zero_points.int32_data = vec![0, 2];
        let mut scales = float(1.0);
        (scales.dims, scales.float_data) = (vec![2], vec![0.5, 0.25]);
        let tensor = dequantize("w".into(), &quantized, &zero_points, &scales).unwrap();
        assert_eq!(values(&tensor), [5.0, 2.0, 10.0, 4.5]);
        let three = int8(&[3], &[0, 0, 0]);
        assert!(dequantize("w".into(), &quantized, &three, &scales).is_err());
    }

    #[test]
    fn data_in_another_file_is_refused() {
        let mut tensor = int8(&[], &[0]);
        tensor.set_data_location(DataLocation::Default);
        require_embedded(&mut tensor).unwrap();
        assert_eq!(tensor.data_location, None);
        tensor.set_data_location(DataLocation::External);
        assert!(require_embedded(&mut tensor).is_err());
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let zero = int8(&[], &[0]);
        let short = int8(&[3], &[0, 1]);
        assert!(dequantize("w".into(), &short, &zero, &float(1.0)).is_err());
        let per_channel = int8(&[2], &[0, 0]);
        assert!(dequantize("w".into(), &int8(&[1], &[1]), &per_channel, &float(1.0)).is_err());
        assert!(dequantize("w".into(), &float(1.0), &zero, &float(1.0)).is_err());
        assert!(dequantize("w".into(), &int8(&[1], &[1]), &zero, &zero).is_err());
    }
}
