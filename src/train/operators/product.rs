//! Products of matrices.

use burn::Tensor;

use super::elementwise::{Operation, apply};
use super::site::{Made, Site, bounded};
use crate::train::array::{Array, both, each};
use crate::train::cpu::linear;

/// `α · A · B + β · C`, A and B transposed where `transA` and `transB` say so.
pub(super) fn gemm(site: &mut Site<'_>) -> Made {
    let (a, b) = (site.array(0)?, site.array(1)?);
    let (left, right) = (a.shape(), b.shape());
    let (Array::R2(a), Array::R2(b)) = (a, b) else {
        return Err(format!("multiplies values of shapes {left:?} and {right:?}, which are no matrices"));
    };
    let a = if site.int("transA", 0) != 0 { a.transpose() } else { a };
    let transposed = site.int("transB", 0) != 0;
    if a.dims()[1] != b.dims()[usize::from(transposed)] {
        return Err(format!("multiplies values of shapes {left:?} and {right:?}"));
    }
    bounded([a.dims()[0], b.dims()[usize::from(!transposed)]])?;
    let (alpha, beta) = (site.float("alpha", 1.0) as f32, site.float("beta", 1.0) as f32);
    let product = times(a, b, transposed);
    let mut made = Array::from(if alpha == 1.0 { product } else { product.mul_scalar(alpha) });
    if site.has(2) && beta != 0.0 {
        let c = site.array(2)?;
        let c = if beta == 1.0 { c } else { each!(c, c => c.mul_scalar(beta).into()) };
        made = apply(made, c, Operation::Add)?;
    }
    Ok(made.into())
}

fn times(a: Tensor<2>, b: Tensor<2>, transposed: bool) -> Tensor<2> {
    match linear(a.clone(), b.clone(), transposed) {
        Some(made) => made,
        None => a.matmul(if transposed { b.transpose() } else { b }),
    }
}

/// Of the last two axes; those before broadcast. A value of one axis is a row, or a column.
pub(super) fn mat_mul(site: &mut Site<'_>) -> Made {
    let (mut a, mut b) = (site.array(0)?, site.array(1)?);
    let (left, right) = (a.shape(), b.shape());
    let fail = || format!("multiplies values of shapes {left:?} and {right:?}");
    if let [length] = left[..] {
        a = a.reshape(&[1, length]);
    }
    if let [length] = right[..] {
        b = b.reshape(&[length, 1]);
    }
    // Many rows by one matrix are one product.
    let rows = a.shape();
    let made = match (&b, rows.len() > 2) {
        (Array::R2(_), true) => {
            let depth = rows[rows.len() - 1];
            let flat = a.reshape(&[rows[..rows.len() - 1].iter().product(), depth]);
            let product = multiply(flat, b)?.ok_or_else(fail)?;
            let mut shape = rows;
            shape.pop();
            shape.extend(product.shape().last());
            product.reshape(&shape)
        }
        _ => multiply(a, b)?.ok_or_else(fail)?,
    };
    let mut shape = made.shape();
    if left.len() == 1 && shape.len() > 1 {
        shape.remove(shape.len() - 2);
    }
    if right.len() == 1 {
        shape.pop();
    }
    Ok(made.reshape(&shape).into())
}

/// `None` where the shapes do not fit.
fn multiply(a: Array, b: Array) -> Result<Option<Array>, String> {
    let rank = a.rank().max(b.rank());
    let (a, b) = (a.raised(rank), b.raised(rank));
    let (left, right) = (a.shape(), b.shape());
    let Some(outer) = rank.checked_sub(2) else { return Ok(None) };
    let fits = (0..outer).all(|axis| left[axis] == right[axis] || left[axis] == 1 || right[axis] == 1);
    if !fits || left[rank - 1] != right[rank - 2] {
        return Ok(None);
    }
    bounded((0..outer).map(|axis| left[axis].max(right[axis])).chain([left[outer], right[outer + 1]]))?;
    Ok(match (a, b) {
        (Array::R2(a), Array::R2(b)) => Some(times(a, b, false).into()),
        (a, b) => both!(a, b, |x, y| Some(x.matmul(y).into()), None),
    })
}
