//! Products of matrices that lie anywhere in a slice.

/// A matrix in a slice: element (i, j) is at `i · rows + j · columns`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other, `stride` apart.
    pub(super) fn by_rows(values: &'a [f32], stride: usize) -> Self {
        Self { values, rows: stride, columns: 1 }
    }

    /// The same, rows as columns.
    pub(super) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, ..self }
    }

    /// Without its first rows.
    pub(super) fn below(self, rows: usize) -> Self {
        Self { values: self.values.get(rows * self.rows..).unwrap_or_default(), ..self }
    }

    fn fits(&self, height: usize, width: usize) -> bool {
        height == 0 || width == 0 || (height - 1) * self.rows + (width - 1) * self.columns < self.values.len()
    }
}

/// `into + a · b`, or `a · b` alone: `[height, depth] · [depth, width]`, the rows of `into` being `stride` apart. On this
/// thread alone, so that sums have one order.
///
/// # Panics
/// Where a slice is too short.
pub(super) fn multiply(
    into: &mut [f32],
    stride: usize,
    add: bool,
    [height, depth, width]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
) {
    assert!(a.fits(height, depth) && b.fits(depth, width), "a product of more than there is");
    let whole = Matrix::by_rows(into, stride);
    assert!(width <= stride && whole.fits(height, width), "a product larger than its place");
    // SAFETY: every element that the strides lead to is inside its slice, as was just checked, those of `into` are each
    // written once (rows do not overlap, being no wider than they are apart), and `into` is borrowed by nobody else.
    unsafe {
        gemm::gemm(
            height,
            width,
            depth,
            into.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.values.as_ptr(),
            a.columns as isize,
            a.rows as isize,
            b.values.as_ptr(),
            b.columns as isize,
            b.rows as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_one_by_one() {
        for [height, depth, width] in [[1, 1, 1], [3, 7, 5], [17, 33, 20]] {
            let a: Vec<f32> = (0..height * depth).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..depth * width).map(|i| (i % 7) as f32 - 3.0).collect();
            let stride = width + 2;
            let mut into = vec![1.0; height * stride];
            let transposed = Matrix::by_rows(&a, height).transposed();
            multiply(&mut into, stride, true, [height, depth, width], transposed, Matrix::by_rows(&b, width));
            for i in 0..height {
                for j in 0..width {
                    let sum: f32 = (0..depth).map(|k| a[k * height + i] * b[k * width + j]).sum();
                    assert_eq!(into[i * stride + j], 1.0 + sum);
                }
                assert_eq!(into[i * stride + width..][..2], [1.0; 2]);
            }
        }
    }
}
