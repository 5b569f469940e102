//! Typed access to the constants of a graph.

use super::Error;
use super::proto::{FLOAT, INT8, INT64, TensorProto, UINT8};

type Result<T> = std::result::Result<T, Error>;

/// Reads finite numbers with these dimensions.
pub(super) fn floats(tensor: &TensorProto, dims: &[usize]) -> Result<Vec<f32>> {
    let elements = elements(tensor, dims)?;
    if tensor.data_type() != FLOAT {
        return Err(unexpected(tensor, "of 32-bit floats"));
    }
    let values: Vec<f32> = if tensor.raw_data().is_empty() {
        tensor.float_data.clone()
    } else {
        let (chunks, rest) = tensor.raw_data().as_chunks();
        if !rest.is_empty() || !tensor.float_data.is_empty() {
            return Err(unexpected(tensor, "of whole floats, once"));
        }
        chunks.iter().copied().map(f32::from_le_bytes).collect()
    };
    if values.len() != elements {
        return Err(unexpected(tensor, "as long as its dimensions say"));
    }
    if !values.iter().all(|value| value.is_finite()) {
        return Err(unexpected(tensor, "of finite numbers"));
    }
    Ok(values)
}

/// The only number of a tensor.
pub(super) fn float(tensor: &TensorProto) -> Result<f32> {
    let dims = one(tensor)?;
    match floats(tensor, &dims)?.as_slice() {
        [value] => Ok(*value),
        _ => Err(unexpected(tensor, "one number")),
    }
}

/// The only 64-bit integer of a tensor.
pub(super) fn integer(tensor: &TensorProto) -> Result<i64> {
    one(tensor)?;
    match (tensor.raw_data(), tensor.int64_data.as_slice()) {
        _ if tensor.data_type() != INT64 => Err(unexpected(tensor, "a 64-bit integer")),
        ([], [value]) => Ok(*value),
        (bytes, []) => bytes
            .try_into()
            .map(i64::from_le_bytes)
            .map_err(|_| unexpected(tensor, "one integer")),
        _ => Err(unexpected(tensor, "one integer")),
    }
}

/// A table of 8-bit numbers `(quantized - zero_point) · scale`.
pub(crate) struct Table {
    quantized: Vec<u8>,
    values: Vec<f32>,
    columns: usize,
}

impl Table {
    /// Reads the three constants of a `DequantizeLinear` with a single scale. Every difference is exact
    /// and every product is rounded once.
    pub(crate) fn new(
        quantized: &TensorProto,
        scale: &TensorProto,
        zero_point: &TensorProto,
    ) -> Result<Self> {
        let value_of: fn(u8) -> i32 = match quantized.data_type() {
            UINT8 => i32::from,
            INT8 => |byte| i32::from(byte as i8),
            _ => return Err(unexpected(quantized, "of 8-bit integers")),
        };
        let scale = float(scale)?;
        let zero_point = match (zero_point.raw_data(), zero_point.int32_data.as_slice()) {
            _ if zero_point.data_type() != quantized.data_type() => {
                return Err(unexpected(
                    zero_point,
                    "of the same type as the numbers that it shifts",
                ));
            }
            ([byte], []) => value_of(*byte),
            ([], [value]) => *value,
            _ => return Err(unexpected(zero_point, "one integer")),
        };
        let [rows, columns] = quantized.dims[..] else {
            return Err(unexpected(quantized, "a table"));
        };
        let columns = usize::try_from(columns).unwrap_or(0);
        let length = elements(quantized, &[usize::try_from(rows).unwrap_or(0), columns])?;
        let difference = |byte| i64::from(value_of(byte)).saturating_sub(zero_point.into());
        let values: Vec<f32> = (0..=u8::MAX)
            .map(|byte| difference(byte) as f32 * scale)
            .collect();
        if columns == 0 || quantized.raw_data().len() != length {
            return Err(unexpected(quantized, "as long as its dimensions say"));
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(unexpected(quantized, "of finite numbers"));
        }
        Ok(Self {
            quantized: quantized.raw_data().to_vec(),
            values,
            columns,
        })
    }

    /// Numbers per row.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.quantized.len().checked_div(self.columns).unwrap_or(0)
    }

    /// The row at this index, if it exists.
    pub(crate) fn row(&self, row: usize) -> Option<impl Iterator<Item = f32>> {
        let row = self.quantized.chunks_exact(self.columns).nth(row)?;
        let value = |byte: &u8| self.values.get(usize::from(*byte)).copied();
        Some(row.iter().filter_map(value))
    }
}

fn one(tensor: &TensorProto) -> Result<Vec<usize>> {
    match tensor.dims[..] {
        [] => Ok(Vec::new()),
        [1] => Ok(vec![1]),
        _ => Err(unexpected(tensor, "one number")),
    }
}

/// The product of the tensor's dimensions, which must equal `dims`.
fn elements(tensor: &TensorProto, dims: &[usize]) -> Result<usize> {
    if tensor.data_location() != 0 {
        return Err(unexpected(tensor, "part of the file"));
    }
    let actual = tensor.dims.iter().map(|dim| usize::try_from(*dim).ok());
    if !actual.eq(dims.iter().map(|dim| Some(*dim))) {
        return Err(Error::Dimensions {
            name: tensor.name().to_owned(),
            actual: tensor.dims.clone(),
            expected: dims.to_vec(),
        });
    }
    dims.iter()
        .try_fold(1_usize, |product, dim| product.checked_mul(*dim))
        .ok_or_else(|| unexpected(tensor, "smaller"))
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

    fn float_tensor(dims: &[i64], values: &[f32]) -> TensorProto {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(FLOAT),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        }
    }

    fn bytes(dims: &[i64], data_type: i32, bytes: &[u8]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(data_type),
            raw_data: Some(bytes.to_vec().into()),
            ..TensorProto::default()
        }
    }

    #[test]
    fn floats_must_be_finite_and_as_many_as_said() {
        let good = float_tensor(&[2, 1], &[1.0, -2.5]);
        assert_eq!(floats(&good, &[2, 1]).unwrap(), [1.0, -2.5]);
        assert!(matches!(
            floats(&good, &[1, 2]),
            Err(Error::Dimensions { .. })
        ));
        for value in [f32::NAN, f32::INFINITY] {
            let bad = float_tensor(&[1], &[value]);
            assert!(matches!(floats(&bad, &[1]), Err(Error::Tensor { .. })));
        }
        assert!(floats(&float_tensor(&[3], &[1.0]), &[3]).is_err());
        assert!(floats(&bytes(&[1], FLOAT, &[1, 2, 3]), &[1]).is_err());
        assert!(floats(&bytes(&[1], INT8, &[1, 2, 3, 4]), &[1]).is_err());
        let elsewhere = TensorProto {
            data_location: Some(1),
            ..good
        };
        assert!(floats(&elsewhere, &[2, 1]).is_err());
    }

    #[test]
    fn a_table_is_shifted_and_scaled() {
        let scale = float_tensor(&[], &[0.5]);
        let signed = bytes(&[2, 2], INT8, &[0, 1, 127, 0x80]);
        let table = Table::new(&signed, &scale, &bytes(&[], INT8, &[0xFF])).unwrap();
        assert_eq!(table.rows(), 2);
        let row: Vec<f32> = table.row(1).unwrap().collect();
        assert_eq!(row, [64.0, -63.5]);
        assert!(table.row(2).is_none());
        assert!(Table::new(&signed, &scale, &bytes(&[], UINT8, &[0])).is_err());
        assert!(Table::new(&bytes(&[4], INT8, &[0; 4]), &scale, &signed).is_err());
        assert!(
            Table::new(
                &bytes(&[2, 3], INT8, &[0; 4]),
                &scale,
                &bytes(&[], INT8, &[0])
            )
            .is_err()
        );
        assert!(Table::new(&bytes(&[-1, 0], INT8, &[]), &scale, &bytes(&[], INT8, &[0])).is_err());
    }
}
