//! Pools.

use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};

use super::site::{Made, Site, bounded};
use super::window::{Window, flat, positions};
use crate::train::array::Array;
use crate::train::cpu::{Windows, max_pool2d as max_pool2d_on_cpu};

pub(super) fn max(site: &mut Site<'_>) -> Made {
    pool(site, |x, window, _| {
        let [.., height, width] = x.dims();
        if window.symmetric() == Some([0; 2]) && window.dilations == [1; 2] && !window.ceil {
            let (input, output) = ([height, width], window.positions([height, width]));
            let windows = Windows { input, output, kernel: window.kernel, strides: window.strides };
            if let Some(made) = max_pool2d_on_cpu(x.clone(), windows) {
                return made;
            }
        }
        let options = MaxPoolOptions::new(window.kernel)
            .with_stride(window.strides)
            .with_padding_pairs(window.pads)
            .with_dilation(window.dilations)
            .with_ceil_mode(window.ceil);
        max_pool2d(x, options)
    })
}

pub(super) fn average(site: &mut Site<'_>) -> Made {
    pool(site, |x, window, count_pads| {
        let options = AvgPoolOptions::new(window.kernel)
            .with_stride(window.strides)
            .with_padding_pairs(window.pads)
            .with_count_include_pad(count_pads)
            .with_ceil_mode(window.ceil);
        avg_pool2d(x, options)
    })
}

type Pool = fn(burn::Tensor<4>, &Window, bool) -> burn::Tensor<4>;

fn pool(site: &mut Site<'_>, run: Pool) -> Made {
    let x = site.array(0)?;
    let shape = x.shape();
    let kernel = site.ints("kernel_shape").unwrap_or_default();
    let kernel: Option<Vec<usize>> =
        kernel.into_iter().map(|length| usize::try_from(length).ok().filter(|&length| length > 0)).collect();
    let window = Window::read(site, &kernel.unwrap_or_default(), shape.get(2..).unwrap_or_default())?;
    let [height, width] = window.positions(positions(&shape));
    bounded([shape[0], shape[1], height, width])?;
    if window.dilations != [1; 2] && site.node.op == "AveragePool" {
        return Err("has dilations: they are known of MaxPool".to_owned());
    }
    if (0..2).any(|axis| window.pads[axis].0.max(window.pads[axis].1) >= window.kernel[axis] && window.kernel[axis] > 1)
    {
        return Err("pads by a whole kernel".to_owned());
    }
    let Array::R4(flat) = x.reshape(&flat(&shape)) else { return Err("takes no positions".to_owned()) };
    let made = run(flat, &window, site.int("count_include_pad", 0) != 0);
    let [n, channels, height, width] = made.dims();
    let made = Array::from(made);
    Ok(if shape.len() == 3 { made.reshape(&[n, channels, width]) } else { made.reshape(&[n, channels, height, width]) }
        .into())
}

pub(super) fn global_average(site: &mut Site<'_>) -> Made {
    global(site, |x| x.mean_dim(2))
}

pub(super) fn global_max(site: &mut Site<'_>) -> Made {
    global(site, |x| x.max_dim(2))
}

fn global(site: &mut Site<'_>, over: fn(burn::Tensor<3>) -> burn::Tensor<3>) -> Made {
    let x = site.array(0)?;
    let shape = x.shape();
    if shape.len() < 3 {
        return Err(format!("takes a value of shape {shape:?}, which has no positions"));
    }
    let Array::R3(flat) = x.reshape(&[shape[0], shape[1], shape[2..].iter().product()]) else {
        return Err("takes no positions".to_owned());
    };
    let mut over_all = vec![1; shape.len()];
    over_all[..2].copy_from_slice(&shape[..2]);
    Ok(Array::from(over(flat)).reshape(&over_all).into())
}
