//! Passes over buffers of the host's, against naive functions: moments, gathering, masks applied, and everything in parts;
//! wherever tensors lie, and however little of a buffer a kernel sees at once.
#![cfg(feature = "gpu")]

#[path = "files/device.rs"]
mod device;
#[path = "files/embedded.rs"]
mod embedded;
mod files;
#[path = "files/models.rs"]
mod models;

use std::num::NonZeroU64;

use device::{Host, host, host_with};
use embedded::{awkward, formats, normal, small};
use models::{Made, lowest, noise, rounded};
use secateur::gpu::{
    ApplyPass, GatherPass, HistogramPass, Kept, Masks, MomentsPass, OrderPass, Overlay, PrunePass, Ranking, Rule,
    Weights,
};
use secateur::prune::Keep;
use secateur::stats::{Grouping, Moments};
use secateur::{Dtype, Float};

/// The bytes of the kept slices.
fn gathered(tensor: &Made, width: usize, axis: usize, indices: &[u32]) -> Vec<u8> {
    let inner = tensor.shape[axis + 1..].iter().product::<u64>() as usize * width;
    let block = inner * tensor.shape[axis] as usize;
    let slices =
        |block: &[u8]| indices.iter().flat_map(|i| block[*i as usize * inner..][..inner].to_vec()).collect::<Vec<u8>>();
    tensor.bytes.chunks(block).flat_map(slices).collect()
}

fn gather_case(host: &Host, tensor: &Made, axis: usize, keep: impl Fn(u32) -> bool) -> secateur::Result<()> {
    let float = Float::from_dtype(tensor.dtype).expect("a float");
    let indices: Vec<u32> = (0..tensor.shape[axis] as u32).filter(|i| keep(*i)).collect();
    let mut shape = tensor.shape.clone();
    shape[axis] = indices.len() as u64;
    let from = host.resident(std::slice::from_ref(tensor), 4).remove(0);
    let room = vec![0xffu8; 68 + (shape.iter().product::<u64>() as usize * float.bytes()).next_multiple_of(4)];
    let target = host.buffer(&room);
    let to = Weights::new(&target, 60, float, &shape).expect("room");
    let job = Kept { from, axis, indices: indices.clone(), to: to.clone() };
    let pass = GatherPass::new(&host.gpu, &[job])?;
    pass.run()?.wait()?;
    let want = gathered(tensor, float.bytes(), axis, &indices);
    assert!(host.bytes(&to) == want, "{:?} axis {axis} of {:?}", tensor.dtype, tensor.shape);
    let (found, end) = (host.contents(&target), 60 + want.len());
    assert!(found[..60].iter().chain(&found[end..]).all(|byte| *byte == 0xff), "nothing beside it has changed");
    Ok(())
}

#[test]
fn kept_slices_are_copied_together() {
    let Some(host) = host() else { return };
    for dtype in formats() {
        let tensor = normal_bits(dtype, &[6, 35, 3, 3]);
        for axis in 0..4 {
            gather_case(&host, &tensor, axis, |i| i % 3 != 1).expect("a pass");
            gather_case(&host, &tensor, axis, |_| true).expect("a pass");
        }
        gather_case(&host, &tensor, 1, |_| false).expect("nothing to do");
    }
    let tensor = normal("w", Dtype::F32, &[4, 4], 1);
    let from = host.resident(std::slice::from_ref(&tensor), 4).remove(0);
    let other = host.resident(std::slice::from_ref(&tensor), 4).remove(0);
    let job = |axis, indices: &[u32], to: &Weights| Kept {
        from: from.clone(),
        axis,
        indices: indices.to_vec(),
        to: to.clone(),
    };
    for bad in [
        job(2, &[0, 1, 2, 3], &other),
        job(0, &[0, 1], &other),
        job(0, &[0, 1, 2, 4], &other),
        job(0, &[0, 1, 2, 3], &from),
    ] {
        GatherPass::new(&host.gpu, &[bad]).expect_err("it does not fit");
    }
    host.heard_nothing();
}

/// Any bits.
fn normal_bits(dtype: Dtype, shape: &[u64]) -> Made {
    let mut random = noise(3);
    let width = Float::from_dtype(dtype).expect("a float").bytes();
    let n = shape.iter().product::<u64>();
    Made::new("w", dtype, shape, (0..n).flat_map(|_| random().to_le_bytes()[..width].to_vec()).collect())
}

#[test]
fn masks_are_held_after_every_step() {
    let Some(host) = host() else { return };
    let tensors = awkward();
    let weights = host.resident(&tensors, 4);
    let mut random = noise(5);
    let words: Vec<Vec<u32>> =
        weights.iter().map(|w| (0..w.elements().div_ceil(32)).map(|_| random() as u32).collect()).collect();
    let words: Vec<&[u32]> = words.iter().map(Vec::as_slice).collect();
    let masks = Masks::upload(&host.gpu, &weights, &words).expect("masks");
    let pass = ApplyPass::new(&host.gpu, &weights, &masks).expect("a pass");
    for _ in 0..2 {
        // A step changes everything.
        let ones = vec![0xff; weights[0].buffer().size() as usize];
        host.queue.write_buffer(weights[0].buffer(), 0, &ones);
        let mut encoder = host.encoder();
        pass.encode(&mut encoder);
        host.submit(encoder);
        let mut want = ones;
        for (weights, words) in weights.iter().zip(&words) {
            let width = weights.float().bytes();
            for i in (0..weights.elements() as usize).filter(|i| words[i / 32] >> (i % 32) & 1 == 0) {
                want[weights.offset() as usize + i * width..][..width].fill(0);
            }
        }
        assert!(host.contents(weights[0].buffer()) == want);
    }
    let other = Masks::new(&host.gpu, &weights[1..]).expect("masks");
    ApplyPass::new(&host.gpu, &weights, &other).expect_err("masks of other tensors");
    Masks::upload(&host.gpu, &weights, &words[1..]).expect_err("too few words");
    host.heard_nothing();
}

#[test]
fn what_is_seen_in_parts_is_one() {
    let Some(host) = host_with(small) else { return };
    let tensors = [
        normal("a", Dtype::F32, &[300, 1000], 1),
        normal("b", Dtype::BF16, &[2, 400_003], 2),
        normal("c", Dtype::F8_E5M2, &[1_200_001], 3),
        normal("d", Dtype::F32, &[512, 256], 4),
    ];
    let weights = host.resident(&tensors, 4);
    let blocks = [700, 20].map(|n| Grouping::Block(NonZeroU64::new(n).unwrap()));
    for by in [Grouping::Tensor, Grouping::Output].into_iter().chain(blocks) {
        let pass = MomentsPass::new(&host.gpu, &weights, by).expect("a pass");
        let found = pass.run().expect("submitted").wait().expect("moments");
        for (tensor, found) in tensors.iter().zip(&found) {
            assert_near(&found.whole().expect("all of it"), tensor);
        }
    }
    let one = Grouping::Block(NonZeroU64::new(1).unwrap());
    let refused = MomentsPass::new(&host.gpu, &weights, one).expect_err("more results than are seen").to_string();
    assert!(refused.contains("larger groups"), "{refused}");
    for rule in [Rule::Uniform, Rule::Global] {
        let weights = host.resident(&tensors, 4);
        let pass = PrunePass::new(&host.gpu, &weights, rule, Keep::Largest).expect("a pass");
        let amounts = pass.amounts(0.6);
        let cuts = pass.run(&amounts).expect("submitted").wait().expect("counts");
        let scores: Vec<Vec<f64>> = tensors.iter().map(|t| t.values().iter().map(|w| w.abs()).collect()).collect();
        let cut: Vec<Vec<usize>> = match rule {
            Rule::Uniform => scores.iter().map(|s| lowest(s, rounded(0.6, s.len()))).collect(),
            _ => {
                let all: Vec<f64> = scores.concat();
                let (mut cut, chosen) = (vec![Vec::new(); 4], lowest(&all, rounded(0.6, all.len())));
                for mut at in chosen {
                    let mut t = 0;
                    while at >= scores[t].len() {
                        at -= scores[t].len();
                        t += 1;
                    }
                    cut[t].push(at);
                }
                cut
            }
        };
        for (((tensor, weights), cut), said) in tensors.iter().zip(&weights).zip(&cut).zip(&cuts) {
            assert_eq!(said.cut, cut.len() as u64);
            assert!(host.bytes(weights) == tensor.without(cut.iter().copied()), "{rule:?} {}", tensor.name);
        }
    }
    let weights = host.resident(&tensors, 4);
    let pass = PrunePass::new(&host.gpu, &weights, Rule::Uniform, Keep::Smallest).expect("a pass");
    pass.run(&pass.amounts(0.2)).expect("submitted").wait().expect("counts");
    for (tensor, weights) in tensors.iter().zip(&weights) {
        let scores: Vec<f64> = tensor.values().iter().map(|w| -w.abs()).collect();
        let cut = lowest(&scores, rounded(0.2, scores.len()));
        assert!(host.bytes(weights) == tensor.without(cut), "smallest {}", tensor.name);
    }
    let weights = host.resident(&tensors, 4);
    let ranks: Vec<u64> = tensors.iter().map(|t| t.values().len() as u64 / 3).collect();
    let pass = OrderPass::new(&host.gpu, &weights, Ranking::Values, 1).expect("a pass");
    let found = pass.run(&ranks).expect("submitted").wait().expect("weights");
    let pass = HistogramPass::new(&host.gpu, &weights, &vec![vec![-9.0, 0.0, 9.0]; 4]).expect("a pass");
    let counts = pass.run().expect("submitted").wait().expect("counts");
    for (i, tensor) in tensors.iter().enumerate() {
        let mut sorted = tensor.values();
        assert_eq!(counts[i][0], sorted.iter().filter(|x| **x < 0.0).count() as u64);
        sorted.sort_by(f64::total_cmp);
        assert_eq!(found[i], Some(sorted[ranks[i] as usize]), "{}", tensor.name);
    }
    // Whole words of 2:4, in parts.
    let two = Rule::NofM("2:4".parse().unwrap());
    let pass = PrunePass::new(&host.gpu, &weights[3..], two, Keep::Largest).expect("a pass");
    pass.run(&[]).expect("submitted").wait().expect("counts");
    let values = tensors[3].values();
    let cut = (0..values.len() / 4).flat_map(|g| {
        let group: Vec<f64> = values[4 * g..][..4].iter().map(|w| w.abs()).collect();
        lowest(&group, 2).into_iter().map(move |i| 4 * g + i).collect::<Vec<_>>()
    });
    assert!(host.bytes(&weights[3]) == tensors[3].without(cut), "2:4");

    // Groups of four, 1000 apart: their unit is no power of two.
    let tensor = normal("e", Dtype::F32, &[8, 64, 1000], 9);
    let weights = host.resident(std::slice::from_ref(&tensor), 4);
    let before = host.bytes(&weights[0]);
    let pass =
        PrunePass::new(&host.gpu, &weights, Rule::NofM("2:4".parse().unwrap()), Keep::Largest).expect_err("a unit");
    assert!(pass.to_string().contains("at once"), "{pass}");
    let tensor = normal("f", Dtype::F32, &[80, 64, 25], 9);
    let weights = [weights, host.resident(std::slice::from_ref(&tensor), 4)].concat();
    let pass =
        PrunePass::new(&host.gpu, &weights[1..], Rule::NofM("2:4".parse().unwrap()), Keep::Largest).expect("a pass");
    let cuts = pass.run(&[]).expect("submitted").wait().expect("counts");
    assert_eq!(cuts[0].cut, 80 * 64 * 25 / 2);
    let values = tensor.values();
    let cut = (0..80 * 64 * 25 / 4).flat_map(|g| {
        let first = g / 25 * 100 + g % 25;
        let group: Vec<f64> = (0..4).map(|i| values[first + 25 * i].abs()).collect();
        lowest(&group, 2).into_iter().map(move |i| first + 25 * i).collect::<Vec<_>>()
    });
    assert!(host.bytes(&weights[1]) == tensor.without(cut));
    assert!(host.bytes(&weights[0]) == before);

    let tensor = normal("g", Dtype::F32, &[40, 30, 100], 10);
    for axis in 0..3 {
        gather_case(&host, &tensor, axis, |i| i % 3 != 1).expect("in parts");
    }
    let tensor = normal("h", Dtype::BF16, &[3, 70, 1001], 10);
    gather_case(&host, &tensor, 1, |i| i % 5 > 0).expect("in parts");
    host.heard_nothing();
}

#[track_caller]
fn assert_near(found: &Moments, tensor: &Made) {
    let values = tensor.values();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let central = |p: i32| values.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / n;
    let sigma = central(2).sqrt();
    assert_eq!(found.count, values.len() as u64);
    let near = |found: Option<f64>, want: f64, unit: f64| {
        assert!((found.unwrap() - want).abs() <= 3e-6 * unit, "{found:?} {want} of {}", tensor.name);
    };
    near(found.mean(), mean, sigma);
    near(found.variance(), central(2), central(2));
    near(found.skewness(), central(3) / sigma.powi(3), 4.0);
    near(found.kurtosis(), central(4) / sigma.powi(4) - 3.0, 4.0);
}

#[test]
fn moments_do_not_depend_on_where_weights_lie() {
    let Some(host) = host() else { return };
    // Ends of buffers in the middle of a vector, and starts everywhere.
    for dtype in [Dtype::F32, Dtype::BF16, Dtype::F8_E5M2] {
        for n in [5000u64, 4097, 4095, 1003] {
            let tensor = normal("w", dtype, &[n], n);
            let mut at_16 = None;
            for offset in [0u64, 16, 4, 8, 12, 272, 2048 + 4] {
                let mut bytes = vec![0xffu8; offset as usize];
                bytes.extend_from_slice(&tensor.bytes);
                bytes.resize(bytes.len().next_multiple_of(4), 0xff);
                let buffer = host.buffer(&bytes);
                let float = Float::from_dtype(dtype).unwrap();
                let weights = Weights::new(&buffer, offset, float, &[n]).expect("they lie in it");
                let pass = MomentsPass::new(&host.gpu, &[weights], Grouping::Tensor).expect("a pass");
                let found = pass.run().expect("submitted").wait().expect("moments").remove(0).groups[0].unwrap();
                assert_near(&found, &tensor);
                if offset.is_multiple_of(16) {
                    assert_eq!(*at_16.get_or_insert(found), found, "{dtype:?} {n} {offset}");
                }
            }
        }
    }
    host.heard_nothing();
}

#[test]
fn what_a_gpu_is_not_good_for_is_not_guessed() {
    let Some(host) = host() else { return };
    let mut values = vec![0.5f32; 9000];
    (values[7], values[8999]) = (1e-40, 1e38);
    let tensors = [Made::f32("huge", &[9000], &values), Made::f32("fine", &[2], &[1.0, f32::INFINITY])];
    let weights = host.resident(&tensors, 16);
    let pass = MomentsPass::new(&host.gpu, &weights, Grouping::Tensor).expect("a pass");
    let found = pass.run().expect("submitted").wait().expect("moments");
    assert_eq!((found[0].whole(), found[0].groups.len()), (None, 1));
    assert_eq!(found[1].whole().unwrap().inf, 1);
    assert!(Moments::of(&values).variance().is_some(), "the remedy");
}

#[test]
fn nothing_at_all_is_fine() {
    let Some(host) = host() else { return };
    let none: [Weights; 0] = [];
    let empty = host.resident(&[Made::new("e", Dtype::F32, &[0, 3], Vec::new())], 16);
    for weights in [&none[..], &empty] {
        let moments = MomentsPass::new(&host.gpu, weights, Grouping::Output).expect("a pass").run().expect("submitted");
        assert_eq!(moments.wait().expect("moments").len(), weights.len());
        for rule in [Rule::Uniform, Rule::Global] {
            let pass = PrunePass::new(&host.gpu, weights, rule, Keep::Largest).expect("a pass");
            let cuts = pass.run(&pass.amounts(0.5)).expect("submitted").wait().expect("counts");
            assert_eq!(cuts.iter().map(|c| c.cut).sum::<u64>(), 0);
        }
        let mut overlay = Overlay::new(&host.gpu, weights).expect("an overlay");
        let masks = Masks::new(&host.gpu, weights).expect("masks");
        let variant = pollster::block_on(overlay.add(&masks)).expect("a variant");
        let mut encoder = host.encoder();
        overlay.encode(&mut encoder, Some(variant)).expect("recorded");
        host.submit(encoder);
    }
    host.heard_nothing();
}
