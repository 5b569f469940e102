//! Matrices packed in the order in which products read them.

use std::ops::Range;

/// Columns of a panel.
pub(crate) const PANEL: usize = 2 * crate::simd::LANES;

/// One row of a panel, aligned to a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Row(pub [[f32; crate::simd::LANES]; 2]);

impl Row {
    /// Zeros.
    pub(crate) const ZERO: Self = Self([[0.0; crate::simd::LANES]; 2]);

    /// Its numbers.
    #[inline(always)]
    pub(crate) fn values(&self) -> &[f32] {
        self.0.as_flattened()
    }

    /// Its numbers.
    #[inline(always)]
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        self.0.as_flattened_mut()
    }
}

/// The right factor of a product: `depth` rows, in panels of [`PANEL`] columns, one after the other.
pub(crate) struct Panels {
    depth: usize,
    rows: Vec<Row>,
}

impl Panels {
    /// Creates panels without columns.
    pub(crate) fn new(depth: usize) -> Self {
        Self {
            depth,
            rows: Vec::new(),
        }
    }

    /// Appends the columns of a row-major matrix; `columns`, its width, is a multiple of [`PANEL`].
    pub(crate) fn append(&mut self, matrix: &[f32], columns: usize) {
        debug_assert!(columns.is_multiple_of(PANEL) && matrix.len() == self.depth * columns);
        self.rows.reserve_exact(matrix.len() / PANEL);
        for start in (0..columns).step_by(PANEL) {
            for values in matrix.chunks_exact(columns) {
                let mut row = Row::ZERO;
                row.values_mut()
                    .copy_from_slice(&values[start..start + PANEL]);
                self.rows.push(row);
            }
        }
    }

    /// Rows of the matrix.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// The panels of these columns, whose bounds are multiples of [`PANEL`].
    pub(crate) fn columns(&self, columns: Range<usize>) -> impl Iterator<Item = &[Row]> {
        let rows = columns.start / PANEL * self.depth..columns.end / PANEL * self.depth;
        self.rows[rows].chunks_exact(self.depth)
    }
}

/// Part of a row-major matrix: `width` numbers of each row, `stride` numbers apart.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// The matrix, from the first number of the part on.
    pub values: &'a [f32],
    /// Distance between the starts of two rows.
    pub stride: usize,
    /// Numbers per row.
    pub width: usize,
}

impl<'a> View<'a> {
    /// A whole matrix with rows of `width`.
    pub(crate) fn whole(values: &'a [f32], width: usize) -> Self {
        Self {
            values,
            stride: width,
            width,
        }
    }

    /// One row.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..][..self.width]
    }
}

/// The size of the next block of rows: `MAIN` while so many are left, then four, two and one.
#[inline(always)]
pub(super) fn block<const MAIN: usize>(left: usize) -> usize {
    match left {
        left if left >= MAIN => MAIN,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

/// Packs rows as the left factor of a product, in [`block`]s: first the first number of each row, then
/// the second number of each row, and so on.
#[inline(always)]
pub(super) fn rows<const MAIN: usize>(matrix: View<'_>, rows: usize, packed: &mut Vec<f32>) {
    packed.resize(rows * matrix.width, 0.0);
    let mut start = 0;
    while start < rows {
        let size = block::<MAIN>(rows - start);
        let target = &mut packed[start * matrix.width..][..size * matrix.width];
        for row in 0..size {
            let source = matrix.row(start + row);
            for (group, value) in target.chunks_exact_mut(size).zip(source) {
                group[row] = *value;
            }
        }
        start += size;
    }
}

/// Like [`rows`], for the transpose of a matrix with `depth` rows.
#[inline(always)]
pub(super) fn columns<const MAIN: usize>(matrix: View<'_>, depth: usize, packed: &mut Vec<f32>) {
    packed.resize(depth * matrix.width, 0.0);
    let mut start = 0;
    while start < matrix.width {
        let size = block::<MAIN>(matrix.width - start);
        let target = &mut packed[start * depth..][..size * depth];
        for (row, group) in target.chunks_exact_mut(size).enumerate() {
            group.copy_from_slice(&matrix.row(row)[start..start + size]);
        }
        start += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_have_neighbouring_columns() {
        let matrix: Vec<f32> = (0..128).map(|value| value as f32).collect();
        let mut panels = Panels::new(2);
        panels.append(&matrix, 64);
        let second: Vec<&[Row]> = panels.columns(32..64).collect();
        assert_eq!(second.len(), 1);
        assert_eq!(second[0][0].values(), &matrix[32..64]);
        assert_eq!(second[0][1].values(), &matrix[96..128]);
    }

    #[test]
    fn rows_are_interleaved_in_blocks() {
        let values: Vec<f32> = (0..21).map(|value| value as f32).collect();
        let matrix = View {
            values: &values,
            stride: 3,
            width: 2,
        };
        let mut packed = Vec::new();
        rows::<4>(matrix, 7, &mut packed);
        let expected = [0, 3, 6, 9, 1, 4, 7, 10, 12, 15, 13, 16, 18, 19];
        assert_eq!(packed, expected.map(|value| value as f32));
        let mut transposed = Vec::new();
        columns::<4>(matrix, 3, &mut transposed);
        assert_eq!(transposed, [0.0, 1.0, 3.0, 4.0, 6.0, 7.0]);
    }
}
