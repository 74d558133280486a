//! Against sums that are written down as they are defined.

use super::Geometry;
use super::Windows;

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Calls with output, input and weight of every product.
fn products(g: &Geometry, mut each: impl FnMut(usize, usize, usize)) {
    let (per_group, outputs) = (g.channels / g.groups, g.outputs / g.groups);
    for image in 0..g.images {
        for output in 0..g.outputs {
            for (oy, ox) in (0..g.output[0]).flat_map(|y| (0..g.output[1]).map(move |x| (y, x))) {
                for channel in 0..per_group {
                    for (ky, kx) in (0..g.kernel[0]).flat_map(|y| (0..g.kernel[1]).map(move |x| (y, x))) {
                        let y = (oy * g.strides[0] + ky * g.dilations[0]).checked_sub(g.pads[0].0);
                        let x = (ox * g.strides[1] + kx * g.dilations[1]).checked_sub(g.pads[1].0);
                        let inside = y.zip(x).filter(|&(y, x)| y < g.input[0] && x < g.input[1]);
                        let Some((y, x)) = inside else { continue };
                        let from = output / outputs * per_group + channel;
                        each(
                            ((image * g.outputs + output) * g.output[0] + oy) * g.output[1] + ox,
                            ((image * g.channels + from) * g.input[0] + y) * g.input[1] + x,
                            ((output * per_group + channel) * g.kernel[0] + ky) * g.kernel[1] + kx,
                        );
                    }
                }
            }
        }
    }
}

fn check(found: &[f32], wanted: &[f64], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(0.0f64, |max, x| max.max(x.abs()));
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((f64::from(*found) - wanted).abs() <= 1e-5 * largest, "{what}: {found} {wanted}");
    }
}

#[test]
fn convolutions_are_their_definition() {
    let plain = Geometry {
        images: 3,
        channels: 4,
        input: [7, 9],
        outputs: 6,
        output: [0; 2],
        kernel: [3, 2],
        strides: [1; 2],
        dilations: [1; 2],
        pads: [(0, 0); 2],
        groups: 1,
    };
    let cases = [
        plain,
        Geometry { groups: 2, pads: [(1, 0), (0, 2)], ..plain },
        Geometry { strides: [2, 3], pads: [(1, 1), (1, 1)], ..plain },
        Geometry { dilations: [2, 3], strides: [1, 2], pads: [(2, 1), (0, 3)], ..plain },
        Geometry { kernel: [1, 1], images: 40, ..plain },
        // More in the pads than in the image.
        Geometry { input: [2, 1], pads: [(4, 3), (5, 2)], kernel: [2, 2], ..plain },
        Geometry { groups: 4, outputs: 4, pads: [(1, 1), (1, 1)], kernel: [3, 3], ..plain },
        // An image whose columns are made in parts.
        Geometry { images: 1, channels: 2, outputs: 2, input: [150, 140], kernel: [4, 4], ..plain },
    ];
    for mut g in cases {
        for axis in 0..2 {
            let padded = g.input[axis] + g.pads[axis].0 + g.pads[axis].1;
            g.output[axis] = (padded - (g.kernel[axis] - 1) * g.dilations[axis] - 1) / g.strides[axis] + 1;
        }
        let outputs = g.images * g.outputs * g.output[0] * g.output[1];
        let x = numbers(g.images * g.channels * g.input[0] * g.input[1], 1);
        let weight = numbers(g.outputs * g.channels / g.groups * g.kernel[0] * g.kernel[1], 2);
        let (bias, gradient) = (numbers(g.outputs, 3), numbers(outputs, 4));
        let mut made = vec![0.0f64; outputs];
        let (mut to_x, mut to_weight) = (vec![0.0f64; x.len()], vec![0.0f64; weight.len()]);
        products(&g, |output, input, at| {
            made[output] += f64::from(x[input]) * f64::from(weight[at]);
            to_x[input] += f64::from(gradient[output]) * f64::from(weight[at]);
            to_weight[at] += f64::from(gradient[output]) * f64::from(x[input]);
        });
        let mut to_bias = vec![0.0f64; g.outputs];
        let positions = g.output[0] * g.output[1];
        for (at, gradient) in gradient.iter().enumerate() {
            made[at] += f64::from(bias[at / positions % g.outputs]);
            to_bias[at / positions % g.outputs] += f64::from(*gradient);
        }
        let what = format!("{g:?}");
        check(&g.forward(&x, &weight, &bias), &made, &what);
        let [found_x, found_weight, found_bias] = g.backward(&x, &weight, &gradient, true);
        check(&found_x, &to_x, &what);
        check(&found_weight, &to_weight, &what);
        check(&found_bias, &to_bias, &what);
        let [none, found_weight, _] = g.backward(&x, &weight, &gradient, false);
        check(&found_weight, &to_weight, &what);
        assert!(none.is_empty());
    }
}

#[test]
fn pools_are_their_definition() {
    for (kernel, strides) in [([2, 2], [2, 2]), ([3, 3], [2, 1]), ([1, 4], [3, 2])] {
        let input = [9, 8];
        let output = [0, 1].map(|axis| (input[axis] - kernel[axis]) / strides[axis] + 1);
        let windows = Windows { input, output, kernel, strides };
        let x = numbers(70 * 72, 5);
        let (made, at) = windows.forward(&x);
        let gradient = numbers(made.len(), 6);
        let mut to_x = vec![0.0f64; x.len()];
        for (index, (made, at)) in made.iter().zip(&at).enumerate() {
            let (plane, row, column) =
                (index / output[0] / output[1], index / output[1] % output[0], index % output[1]);
            let seen = (0..kernel[0]).flat_map(|y| (0..kernel[1]).map(move |x| (y, x)));
            let place = |(y, x): (usize, usize)| (row * strides[0] + y) * input[1] + column * strides[1] + x;
            let largest = seen.map(|window| x[plane * 72 + place(window)]).fold(f32::MIN, f32::max);
            assert_eq!((*made, x[plane * 72 + *at as usize]), (largest, largest));
            to_x[plane * 72 + *at as usize] += f64::from(gradient[index]);
        }
        check(&windows.backward(&gradient, &at), &to_x, "gradient");
    }
}

#[test]
fn what_is_no_number_stays_none() {
    let windows = Windows { input: [2, 2], output: [1, 1], kernel: [2, 2], strides: [2, 2] };
    for at in 0..4 {
        let mut x = [1.0; 4];
        x[at] = f32::NAN;
        let (made, found) = windows.forward(&x);
        assert!(made[0].is_nan() && found == [at as u32]);
    }
    assert_eq!(windows.forward(&[f32::NEG_INFINITY; 4]), (vec![f32::NEG_INFINITY], vec![0]));
}
