//! Means and sums along axes.

use super::site::{Made, Site, axes};
use crate::train::array::{Array, each};

pub(super) fn mean(site: &mut Site<'_>) -> Made {
    reduce(site, |x, along| each!(x, x => x.mean_dim(along).into()))
}

pub(super) fn sum(site: &mut Site<'_>) -> Made {
    reduce(site, |x, along| each!(x, x => x.sum_dim(along).into()))
}

pub(super) fn max(site: &mut Site<'_>) -> Made {
    reduce(site, |x, along| each!(x, x => x.max_dim(along).into()))
}

/// Axes are an attribute, or an input in later operator sets; all where none are named.
fn reduce(site: &mut Site<'_>, along: fn(Array, usize) -> Array) -> Made {
    let listed = site.list("axes", 1)?.filter(|listed| !listed.is_empty());
    let x = site.array(0)?;
    if listed.is_none() && site.int("noop_with_empty_axes", 0) != 0 {
        return Ok(x.into());
    }
    let mut shape = x.shape();
    let gone = listed.map_or_else(|| Ok((0..shape.len()).collect()), |listed| axes(&listed, shape.len()))?;
    let reduced = gone.iter().fold(x, |x, &axis| along(x, axis));
    if site.int("keepdims", 1) != 0 {
        return Ok(reduced.into());
    }
    let mut index = 0;
    shape.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
    Ok(reduced.reshape(&shape).into())
}
