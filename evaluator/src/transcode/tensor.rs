//! Typed access to the constants of a graph, and the dequantisation of a weight matrix.

use super::onnx::TensorProto;
use super::onnx::tensor_proto::{DataLocation, DataType};
use super::{Error, Result};

/// `(quantized − zero_point) · scale` as a little-endian f32 tensor: every difference is exact,
/// every product is rounded once, so the bytes are the same on every machine.
pub fn dequantize(
    name: String,
    quantized: &TensorProto,
    zero_point: &TensorProto,
    scale: &TensorProto,
) -> Result<TensorProto> {
    let zero_point = integer_scalar(zero_point)?;
    let scale = float_scalar(scale)?;
    let raw_data = integers(quantized)?
        .flat_map(|value| ((value - zero_point) as f32 * scale).to_le_bytes())
        .collect();
    Ok(TensorProto {
        dims: quantized.dims.clone(),
        data_type: Some(DataType::Float as i32),
        name: Some(name),
        raw_data: Some(raw_data),
        ..TensorProto::default()
    })
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

/// The elements of an 8-bit weight matrix.
fn integers(tensor: &TensorProto) -> Result<impl Iterator<Item = i32> + '_> {
    let signed = is_signed(tensor)?;
    let raw = tensor.raw_data();
    let elements = tensor.dims.iter().try_fold(1_usize, |product, dim| {
        product.checked_mul(usize::try_from(*dim).ok()?)
    });
    if elements != Some(raw.len()) {
        return Err(unexpected(tensor, "as many bytes as elements"));
    }
    Ok(raw.iter().map(move |byte| {
        if signed {
            i32::from(*byte as i8)
        } else {
            i32::from(*byte)
        }
    }))
}

fn integer_scalar(tensor: &TensorProto) -> Result<i32> {
    let signed = is_signed(tensor)?;
    match (tensor.raw_data(), tensor.int32_data.as_slice()) {
        ([byte], []) if signed => Ok(i32::from(*byte as i8)),
        ([byte], []) => Ok(i32::from(*byte)),
        ([], [value]) => Ok(*value),
        _ => Err(unexpected(tensor, "one integer")),
    }
}

fn float_scalar(tensor: &TensorProto) -> Result<f32> {
    if tensor.data_type() != DataType::Float as i32 {
        return Err(unexpected(tensor, "a float"));
    }
    match (tensor.raw_data(), tensor.float_data.as_slice()) {
        ([a, b, c, d], []) => Ok(f32::from_le_bytes([*a, *b, *c, *d])),
        ([], [value]) => Ok(*value),
        _ => Err(unexpected(tensor, "one float")),
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

    #[test]
    fn subtracts_the_zero_point_and_scales() {
        let quantized = int8(&[2, 2], &[0, 1, 127, 0x80]);
        let tensor = dequantize("w".into(), &quantized, &int8(&[], &[0xFF]), &float(0.5)).unwrap();
        let values: Vec<f32> = tensor
            .raw_data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        assert_eq!(values, [0.5, 1.0, 64.0, -63.5]);
        assert_eq!(tensor.dims, [2, 2]);
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
