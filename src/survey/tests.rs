use std::path::Path;

use super::*;
use crate::Dtype;
use crate::prune::allocation::round_half_even;
use crate::stats::{Grouping, analyse};

/// A checkpoint with awkward tensors in `folder`: every format, vectors, scalars, empty and long ones.
fn awkward(folder: &Path) -> Checkpoint {
    let path = folder.join("model.safetensors");
    let mut state = 7u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut weights = |n: usize| -> Vec<f32> { (0..n).map(|_| (next() + next() + next()) * 0.1).collect() };
    let bf16 = |w: &[f32]| -> Vec<u8> { w.iter().flat_map(|w| half::bf16::from_f32(*w).to_le_bytes()).collect() };
    let f16 = |w: &[f32]| -> Vec<u8> { w.iter().flat_map(|w| half::f16::from_f32(*w).to_le_bytes()).collect() };
    let f32s = |w: &[f32]| -> Vec<u8> { w.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let f64s = |w: &[f32]| -> Vec<u8> { w.iter().flat_map(|w| f64::from(*w).to_le_bytes()).collect() };
    let mut dead = weights(300 * 41);
    dead[41..2 * 41].fill(0.0);
    let mut broken = weights(64 * 33);
    (broken[3], broken[40], broken[100]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let tensors: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = vec![
        ("a.bias", Dtype::F32, vec![7], f32s(&weights(7))),
        ("a.weight", Dtype::BF16, vec![300, 41], bf16(&dead)),
        ("b.empty", Dtype::F32, vec![0, 5], vec![]),
        ("b.weight", Dtype::F16, vec![64, 33], f16(&broken)),
        ("c.weight", Dtype::F32, vec![500, 500], f32s(&weights(250_000))),
        ("d.scalar", Dtype::F64, vec![], f64s(&weights(1))),
        ("d.weight", Dtype::F64, vec![9, 4, 3], f64s(&weights(108))),
        ("e.weight", Dtype::F8_E4M3, vec![40, 3000], (0..120_000u32).map(|i| (i * 7 % 120) as u8).collect()),
        ("f.long", Dtype::BF16, vec![2, 100_000], bf16(&weights(200_000))),
        ("g.ids", Dtype::I64, vec![2], vec![0; 16]),
    ];
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (*name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    safetensors::serialize_to_file(views, None, &path).unwrap();
    Checkpoint::open(&path).unwrap()
}

fn surveyed(model: &Checkpoint, engine: &Engine) -> Survey {
    survey(model, engine, &Options::default(), &Progress::default()).unwrap()
}

/// Statistics by `by`, as `stats` finds them.
fn analysed(model: &Checkpoint, by: Grouping) -> Vec<Entry> {
    let mut entries = Vec::new();
    let options = stats::Options { by, ..Default::default() };
    let engine = Engine::cpu(None).unwrap();
    analyse(model, &engine, &options, &Progress::default(), &mut |entry| {
        entries.push(entry);
        Ok(())
    })
    .unwrap();
    entries
}

fn near(a: Option<f64>, b: Option<f64>, scale: f64, what: &str) {
    match (a, b) {
        (Some(a), Some(b)) => assert!((a - b).abs() <= 5e-6 * scale.max(b.abs()), "{what}: {a} {b}"),
        _ => assert_eq!(a, b, "{what}"),
    }
}

fn check(found: &Survey, model: &Checkpoint) {
    let want = analysed(model, Grouping::Tensor);
    assert_eq!(found.tensors.len(), want.len());
    for (found, want) in found.tensors.iter().zip(&want) {
        let (a, b, name) = (&found.entry.statistics, &want.statistics, &want.name);
        assert_eq!((&found.entry.name, &found.entry.shape, found.entry.group), (name, &want.shape, None));
        assert_eq!((a.count, a.nan, a.inf, a.zeros), (b.count, b.nan, b.inf, b.zeros), "{name}");
        assert_eq!((a.min, a.max, a.abs_max), (b.min, b.max, b.abs_max), "{name}");
        near(a.mean, b.mean, b.variance.unwrap_or(0.0).sqrt(), name);
        near(a.variance, b.variance, 0.0, name);
        near(a.skewness, b.skewness, 4.0, name);
        near(a.kurtosis, b.kurtosis, 10.0, name);
        near(a.l2, b.l2, 0.0, name);
    }
    let by_channel = analysed(model, Grouping::Output);
    for tensor in &found.tensors {
        let name = &tensor.entry.name;
        let groups: Vec<&Entry> = by_channel.iter().filter(|e| e.name == *name && e.group.is_some()).collect();
        let Some(channels) = &tensor.channels else {
            assert!(groups.is_empty() || tensor.entry.statistics.count == 0, "{name}");
            continue;
        };
        assert_eq!(channels.count as usize, groups.len(), "{name}");
        let dead = groups.iter().filter(|e| e.statistics.abs_max == Some(0.0)).count() as u64;
        assert_eq!(channels.dead, dead, "{name}");
        for cell in &channels.cells {
            let of: Vec<&&Entry> = groups.iter().skip(cell.first as usize).take(cell.count as usize).collect();
            let mean = |value: fn(&Entry) -> Option<f64>| {
                let known: Vec<f64> = of.iter().filter_map(|e| value(e)).collect();
                (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
            };
            near(cell.variance, mean(|e| e.statistics.variance), 0.0, name);
            near(cell.norm, mean(|e| e.statistics.l2), 0.0, name);
        }
    }
}

#[test]
fn a_survey_finds_what_stats_finds() {
    let folder = tempfile::tempdir().unwrap();
    let model = awkward(folder.path());
    for threads in [1, 3] {
        let engine = Engine::cpu(std::num::NonZeroUsize::new(threads)).unwrap();
        let mut found = surveyed(&model, &engine);
        check(&found, &model);
        assert_eq!(found.skipped.len(), 1);
        let total = found.total.clone();
        assert_eq!(total.count, found.tensors.iter().map(|t| t.entry.statistics.count).sum::<u64>());
        for index in 0..found.tensors.len() {
            let counts = found.counts(index).unwrap();
            let sum: u64 = counts.cells().iter().map(|(_, n)| n).sum();
            assert_eq!(sum, found.tensors[index].entry.statistics.count);
        }
    }
    let example = Checkpoint::open("examples/data/cnn.safetensors").unwrap();
    check(&surveyed(&example, &Engine::cpu(None).unwrap()), &example);
}

#[test]
fn threads_do_not_change_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let model = awkward(folder.path());
    let one = surveyed(&model, &Engine::cpu(std::num::NonZeroUsize::new(1)).unwrap());
    let many = surveyed(&model, &Engine::cpu(std::num::NonZeroUsize::new(5)).unwrap());
    assert_eq!((one.tensors, one.total), (many.tensors, many.total));
}

/// The weights of the eligible tensors, sorted as `prune` ranks them: by magnitude, then by name, then by place.
fn ranked(model: &Checkpoint, names: &[&str]) -> Vec<(f64, String)> {
    let mut all = Vec::new();
    for name in names {
        let tensor = model.get(name).unwrap();
        let (float, mut bytes) = (tensor.float().unwrap(), vec![0; tensor.bytes() as usize]);
        model.read_exact_at(tensor, 0, &mut bytes).unwrap();
        let values =
            (0..tensor.elements() as usize).map(|i| float.value(crate::order::bits_at(float, &bytes, i)).abs());
        all.extend(values.filter(|w| !w.is_nan()).map(|w| (w, (*name).to_owned())));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

#[test]
fn prospects_are_what_a_sort_finds() {
    let folder = tempfile::tempdir().unwrap();
    let model = awkward(folder.path());
    let mut found = surveyed(&model, &Engine::cpu(None).unwrap());
    let rates = [0.0, 0.3, 0.5, 0.9, 1.0];
    // Exact: narrow formats alone, with ties across tensors of different formats.
    let names = ["a.weight", "b.weight", "e.weight", "f.long"];
    let eligible: Vec<bool> = found.tensors.iter().map(|t| names.contains(&t.entry.name.as_str())).collect();
    let prospects = prospects(&mut found, &eligible, &rates).unwrap();
    assert!(prospects.exact);
    let all = ranked(&model, &names);
    for (i, rate) in rates.iter().enumerate() {
        let k = (round_half_even(*rate, prospects.eligible) as usize).min(all.len());
        assert_eq!(prospects.thresholds[i], k.checked_sub(1).map(|last| all[last].0), "{rate}");
        for (tensor, found) in found.tensors.iter().zip(&prospects.tensors) {
            let name = &tensor.entry.name;
            let Some(found) = found else {
                assert!(!names.contains(&name.as_str()));
                continue;
            };
            let global: Vec<f64> = all[..k].iter().filter(|(_, of)| of == name).map(|(w, _)| *w).collect();
            let want = CutAt { cut: global.len() as u64, threshold: global.last().copied() };
            assert_eq!(found.global[i], want, "{name} {rate}");
            let own: Vec<f64> = all.iter().filter(|(_, of)| of == name).map(|(w, _)| *w).collect();
            let k = (round_half_even(*rate, tensor.entry.statistics.count) as usize).min(own.len());
            let want = CutAt { cut: k as u64, threshold: k.checked_sub(1).map(|last| own[last]) };
            assert_eq!(found.uniform[i], want, "{name} {rate}");
        }
    }
}

#[test]
fn prospects_of_wider_weights_are_near() {
    let folder = tempfile::tempdir().unwrap();
    let model = awkward(folder.path());
    let mut found = surveyed(&model, &Engine::cpu(None).unwrap());
    let names = ["a.weight", "c.weight", "d.weight"];
    let eligible: Vec<bool> = found.tensors.iter().map(|t| names.contains(&t.entry.name.as_str())).collect();
    let prospects = prospects(&mut found, &eligible, &[0.5]).unwrap();
    assert!(!prospects.exact);
    let all = ranked(&model, &names);
    let k = round_half_even(0.5, prospects.eligible) as usize;
    let near = |found: f64, want: f64| (found / want - 1.0).abs() < 1.0 / 16.0;
    assert!(near(prospects.thresholds[0].unwrap(), all[k - 1].0));
    let mut sum = 0;
    for (tensor, found) in found.tensors.iter().zip(&prospects.tensors) {
        let Some(found) = found else { continue };
        let want = all[..k].iter().filter(|(_, of)| *of == tensor.entry.name).count() as f64;
        assert!((found.global[0].cut as f64 - want).abs() <= 0.02 * tensor.entry.statistics.count as f64, "{want}");
        assert_eq!(found.uniform[0].cut, round_half_even(0.5, tensor.entry.statistics.count));
        sum += found.global[0].cut;
    }
    assert_eq!(sum, k as u64);
}

#[cfg(feature = "gpu")]
#[test]
fn the_gpu_finds_the_same() {
    if crate::gpu::tests::engines().is_none() {
        return;
    }
    let engine = Engine::gpu(&crate::gpu::AdapterChoice::Default, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let weights: Vec<u8> = (0..GPU_BYTES).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 & 0xbf).collect();
    let n = GPU_BYTES as usize / 2048;
    let views = [
        ("a", safetensors::tensor::TensorView::new(Dtype::BF16, vec![n, 1024], &weights).unwrap()),
        ("b", safetensors::tensor::TensorView::new(Dtype::BF16, vec![2, 8], &weights[..32]).unwrap()),
        ("c", safetensors::tensor::TensorView::new(Dtype::F8_E5M2, vec![2 * n * 1024], &weights).unwrap()),
    ];
    safetensors::serialize_to_file(views, None, &path).unwrap();
    let model = Checkpoint::open(&path).unwrap();
    let mut by_gpu = surveyed(&model, &engine);
    let mut by_cpu = surveyed(&model, &Engine::cpu(None).unwrap());
    check(&by_gpu, &model);
    for index in 0..3 {
        assert_eq!(by_gpu.counts(index).unwrap(), by_cpu.counts(index).unwrap());
        assert_eq!(by_gpu.tensors[index].entry, by_cpu.tensors[index].entry);
    }
}
