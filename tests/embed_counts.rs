//! Passes that count and rank weights in buffers of the host's, against naive functions: exact.
#![cfg(feature = "gpu")]

#[path = "files/device.rs"]
mod device;
#[path = "files/embedded.rs"]
mod embedded;
mod files;
#[path = "files/models.rs"]
mod models;

use std::num::NonZeroU64;

use device::{host, host_with};
use embedded::{awkward, normal, small};
use models::Made;
use secateur::Dtype;
use secateur::gpu::{GroupOrderPass, HistogramPass, OrderPass, Ranking, ValuesPass, Weights, wgpu};
use secateur::stats::Grouping;

#[test]
fn order_statistics_are_those_of_a_sort() {
    let Some(host) = host() else { return };
    let tensors = awkward();
    let weights = host.resident(&tensors, 4);
    let pass = OrderPass::new(&host.gpu, &weights, Ranking::Values, 4).expect("a pass");
    let all: Vec<Weights> = weights.clone();
    let ranks: Vec<u64> =
        all.iter().flat_map(|w| [0, w.elements() / 2, w.elements() / 3, w.elements().saturating_sub(1)]).collect();
    // A tensor without elements has no rank.
    let refused = pass.run(&ranks).expect_err("rank 0 of nothing").to_string();
    assert!(refused.contains("rank"), "{refused}");
    let some: Vec<usize> = (0..tensors.len()).filter(|t| !tensors[*t].bytes.is_empty()).collect();
    let weights: Vec<Weights> = some.iter().map(|t| weights[*t].clone()).collect();
    let pass = OrderPass::new(&host.gpu, &weights, Ranking::Values, 4).expect("a pass");
    let ranks: Vec<u64> = some.iter().flat_map(|t| ranks[4 * t..][..4].to_vec()).collect();
    let found = pass.run(&ranks).expect("submitted").wait().expect("weights");
    for (i, t) in some.iter().enumerate() {
        let mut finite: Vec<f64> = tensors[*t].values().into_iter().filter(|x| x.is_finite()).collect();
        finite.sort_by(f64::total_cmp);
        for (rank, found) in ranks[4 * i..][..4].iter().zip(&found[4 * i..]) {
            let want = finite.get(*rank as usize).map(|x| x.to_bits());
            assert_eq!(found.map(f64::to_bits), want, "{} rank {rank}", tensors[*t].name);
        }
    }
    let pass = OrderPass::new(&host.gpu, &weights, Ranking::Magnitudes, 4).expect("a pass");
    let found = pass.run(&ranks).expect("submitted").wait().expect("magnitudes");
    for (i, t) in some.iter().enumerate() {
        let mut sizes: Vec<f64> = tensors[*t].values().into_iter().map(f64::abs).collect();
        sizes.sort_by(f64::total_cmp);
        for (rank, found) in ranks[4 * i..][..4].iter().zip(&found[4 * i..]) {
            let (found, want) = (found.expect("all are ranked"), sizes[*rank as usize]);
            assert!(found == want || (found.is_nan() && want.is_nan()), "{} rank {rank}: {found}", tensors[*t].name);
        }
    }
    host.heard_nothing();
}

#[test]
fn histograms_count_what_lies_between_edges() {
    let Some(host) = host() else { return };
    let tensors = awkward();
    let weights = host.resident(&tensors, 4);
    for edges in [vec![-1.0, -0.25, 0.0, 1e-6, 0.3, 400.0], vec![0.0, 1.0]] {
        let all = vec![edges.clone(); tensors.len()];
        let pass = HistogramPass::new(&host.gpu, &weights, &all).expect("a pass");
        let found = pass.run().expect("submitted").wait().expect("counts");
        for (tensor, found) in tensors.iter().zip(&found) {
            let mut want = vec![0; edges.len() - 1];
            for x in tensor.values().iter().filter(|x| x.is_finite()) {
                let inner = &edges[1..edges.len() - 1];
                want[inner.iter().filter(|edge| x >= edge).count()] += 1;
            }
            assert_eq!(found, &want, "{}", tensor.name);
        }
    }
    for bad in [vec![0.0], vec![1.0, 0.0], vec![0.0, f64::NAN]] {
        HistogramPass::new(&host.gpu, &weights, &vec![bad; tensors.len()]).expect_err("no edges");
    }
    host.heard_nothing();
}

/// The weights of each group, in the order of groups: of a tensor of rows × columns × inner by axis 0 or 1, or in blocks of a row.
fn grouped(tensor: &Made, by: Grouping) -> Vec<Vec<f64>> {
    let (values, shape) = (tensor.values(), &tensor.shape);
    let rows = shape.first().copied().unwrap_or(1) as usize;
    let row = values.len().checked_div(rows).unwrap_or(0);
    match by {
        _ if shape.len() < 2 => vec![values],
        Grouping::Output => (0..rows).map(|r| values[r * row..][..row].to_vec()).collect(),
        Grouping::Input => {
            let (columns, inner) = (shape[1] as usize, row / (shape[1] as usize).max(1));
            let of_column = |c: usize| {
                (0..rows).flat_map(|r| values[r * row + c * inner..][..inner].to_vec()).collect::<Vec<f64>>()
            };
            (0..columns).map(of_column).collect()
        }
        Grouping::Block(n) => (0..rows)
            .flat_map(|r| values[r * row..][..row].chunks(n.get() as usize).map(<[f64]>::to_vec).collect::<Vec<_>>())
            .collect(),
        _ => vec![values],
    }
}

#[test]
fn groups_are_asked_one_by_one() {
    // In parts, too.
    for change in [(|_| ()) as fn(&mut wgpu::Limits), small] {
        let Some(host) = host_with(change) else { return };
        let mut tensors = awkward();
        tensors.retain(|t| t.shape.len() != 2 || t.shape[0] > 0);
        tensors.push(normal("n", Dtype::F32, &[90, 64, 3, 3], 8));
        let nothing = [f32::NAN, f32::INFINITY, f32::NAN, f32::NEG_INFINITY];
        tensors.push(Made::f32("none", &[2, 2], &nothing));
        let weights = host.resident(&tensors, 4);
        for by in [Grouping::Output, Grouping::Input, Grouping::Block(NonZeroU64::new(5).unwrap())] {
            let groups: Vec<Vec<f64>> = tensors.iter().flat_map(|tensor| grouped(tensor, by)).collect();
            let pass = GroupOrderPass::new(&host.gpu, &weights, by, 3).expect("a pass");
            let ranks: Vec<u64> =
                groups.iter().flat_map(|group| [0, group.len() as u64 / 2, group.len() as u64]).collect();
            let found = pass.run(&ranks).expect("submitted").wait().expect("weights");
            let edges = vec![-1.0, -0.2, 0.0, 0.3, 1.0];
            let pass =
                HistogramPass::by_group(&host.gpu, &weights, by, &vec![edges.clone(); groups.len()]).expect("a pass");
            let counts = pass.run().expect("submitted").wait().expect("counts");
            assert_eq!((found.len(), counts.len()), (groups.len(), groups.len()));
            for (i, group) in groups.iter().enumerate() {
                let mut finite: Vec<f64> = group.iter().copied().filter(|x| x.is_finite()).collect();
                finite.sort_by(f64::total_cmp);
                for (found, rank) in found[i].iter().zip(&ranks[3 * i..]) {
                    let want = finite.get(*rank as usize).or(finite.last());
                    assert_eq!(found.map(f64::to_bits), want.map(|x| x.to_bits()), "{by:?} group {i} rank {rank}");
                }
                let mut want = [0u64; 4];
                finite.iter().for_each(|x| want[edges[1..4].iter().filter(|edge| x >= edge).count()] += 1);
                assert_eq!(counts[i], want, "{by:?} group {i}");
            }
        }
        host.heard_nothing();
    }
}

#[test]
fn every_stored_value_is_counted() {
    for change in [(|_| ()) as fn(&mut wgpu::Limits), small] {
        let Some(host) = host_with(change) else { return };
        let mut tensors = awkward();
        tensors.push(normal("n", Dtype::BF16, &[300_001], 8));
        tensors.push(normal("m", Dtype::F32, &[200, 1000], 9));
        let weights = host.resident(&tensors, 4);
        let found = ValuesPass::new(&host.gpu, &weights).expect("a pass").run().expect("submitted").wait();
        for ((tensor, weights), found) in tensors.iter().zip(&weights).zip(found.expect("counts")) {
            let width = weights.float().bytes();
            let mut want = vec![0u64; 1 << (8 * width).min(16)];
            for bytes in tensor.bytes.chunks(width) {
                let upper = bytes[width.saturating_sub(2)..].iter().rev();
                want[upper.fold(0, |bits, byte| bits << 8 | usize::from(*byte))] += 1;
            }
            assert!(found == want, "{}", tensor.name);
        }
        host.heard_nothing();
    }
}
