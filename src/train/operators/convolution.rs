//! Convolutions, over one axis of positions or two.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};

use super::site::{Made, Site, bounded};
use super::window::{Window, flat, positions};
use crate::train::array::Array;
use crate::train::cpu::{self, Geometry};

/// `[out, in / group, …]` over `[n, in, …]`.
pub(super) fn conv(site: &mut Site<'_>) -> Made {
    let (x, weight) = (site.array(0)?, site.array(1)?);
    let bias = if site.has(2) { Some(site.array(2)?) } else { None };
    let (shape, kernel) = (x.shape(), weight.shape());
    let group = usize::try_from(site.int("group", 1)).unwrap_or(0);
    let fits = shape.len() == kernel.len()
        && shape.len() >= 3
        && group > 0
        && kernel[1].checked_mul(group) == Some(shape[1])
        && kernel[0].is_multiple_of(group);
    if !fits {
        return Err(format!("applies a weight of shape {kernel:?} in {group} groups to a value of shape {shape:?}"));
    }
    let window = Window::read(site, &kernel[2..], &shape[2..])?;
    let [height, width] = window.positions(positions(&shape));
    bounded([shape[0], kernel[0].max(shape[1]), height, width])?;
    bounded(kernel[1..].iter().copied().chain([width]))?;
    let bias = match bias {
        Some(Array::R1(bias)) if bias.dims() == [kernel[0]] => Some(bias),
        Some(other) => return Err(format!("has a bias of shape {:?}", other.shape())),
        None => None,
    };
    let (Array::R4(x), Array::R4(weight)) = (x.reshape(&flat(&shape)), weight.reshape(&flat(&kernel))) else {
        return Err("takes no positions".to_owned());
    };
    let made = apply(x, weight, bias, &window, group);
    let [n, channels, height, width] = made.dims();
    let made = Array::from(made);
    Ok(if shape.len() == 3 { made.reshape(&[n, channels, width]) } else { made.reshape(&[n, channels, height, width]) }
        .into())
}

fn apply(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, window: &Window, groups: usize) -> Tensor<4> {
    let ([images, channels, height, width], [outputs, _, down, across]) = (x.dims(), weight.dims());
    let device = x.device().inner();
    let bias = bias.unwrap_or_else(|| Tensor::zeros([outputs], &device));
    let geometry = Geometry {
        images,
        channels,
        input: [height, width],
        outputs,
        output: window.positions([height, width]),
        kernel: [down, across],
        strides: window.strides,
        dilations: window.dilations,
        pads: window.pads,
        groups,
    };
    if let Some(made) = cpu::conv2d(x.clone(), weight.clone(), bias.clone(), geometry) {
        return made;
    }
    let (x, pads) = match window.symmetric() {
        Some(pads) => (x, pads),
        None => {
            let [height, width] = window.pads;
            (x.pad([(0, 0), (0, 0), height, width], PadMode::Constant(0.0)), [0; 2])
        }
    };
    conv2d(x, weight, Some(bias), ConvOptions::new(window.strides, pads, window.dilations, groups))
}
