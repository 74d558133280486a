//! A program with a device and buffers of its own gets what the command line gets, bit for bit: statistics, pruned weights,
//! masks, and the weights as they were.
#![cfg(all(feature = "gpu", feature = "cli"))]

#[path = "files/device.rs"]
mod device;
mod files;
#[path = "files/models.rs"]
mod models;

use std::path::Path;

use assert_cmd::cargo::cargo_bin_cmd;
use device::host;
use files::Folder;
use models::{Made, bytes_of, file_of, noise};
use secateur::gpu::{MomentsPass, Overlay, PrunePass, Rule};
use secateur::prune::Keep;
use secateur::stats::{Grouping, Moments};
use secateur::{Checkpoint, Dtype};
use serde_json::Value;

/// The tensors of a checkpoint, in the order of their names, which is that of ties.
fn tensors(path: &Path) -> Vec<Made> {
    let model = Checkpoint::open(path).expect("a good checkpoint");
    let made = |t: &secateur::Tensor| Made::new(t.name(), t.dtype(), t.shape(), bytes_of(path, t.name()));
    let mut all: Vec<Made> = model.tensors().iter().map(made).collect();
    all.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    all.retain(|t| secateur::Float::from_dtype(t.dtype).is_some());
    all
}

/// Tensors of every format that a GPU computes, of shapes that are cut in several ways.
fn model(folder: &Folder) -> std::path::PathBuf {
    let mut random = noise(7);
    let mut normal = move || (0..12).map(|_| (random() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0;
    let shapes: [&[u64]; 5] = [&[64, 27], &[9], &[300, 1001], &[16, 12, 3, 3], &[70_001]];
    let formats = [Dtype::F32, Dtype::BF16, Dtype::F16, Dtype::F8_E4M3, Dtype::F8_E5M2];
    let mut all = Vec::new();
    for (i, dtype) in formats.into_iter().enumerate() {
        for (j, shape) in shapes.iter().enumerate() {
            let n = shape.iter().product::<u64>();
            let bytes = (0..n).flat_map(|k| {
                // Ties, and both zeros.
                let x = if k % 11 == 3 {
                    -0.5
                } else if k % 17 == 0 {
                    -0.0
                } else {
                    normal()
                };
                let bits = half::bf16::from_f64(x).to_bits();
                match dtype {
                    Dtype::F32 => ((x * 0.02) as f32).to_le_bytes().to_vec(),
                    Dtype::BF16 => bits.to_le_bytes().to_vec(),
                    Dtype::F16 => half::f16::from_f64(x * 0.02).to_le_bytes().to_vec(),
                    // Some number of the format: the upper bits of another one.
                    Dtype::F8_E5M2 => vec![(half::f16::from_f64(x).to_bits() >> 8) as u8],
                    _ => vec![(bits >> 8) as u8 & 0x80 | (bits >> 4) as u8 & 0x7f],
                }
            });
            all.push(Made::new(&format!("{i}.{j}.weight"), dtype, shape, bytes.collect()));
        }
    }
    folder.write("model.safetensors", file_of(&all, &[]))
}

fn models(folder: &Folder) -> Vec<std::path::PathBuf> {
    let example = |name: &str| Path::new("examples/data").join(name);
    vec![model(folder), example("cnn.safetensors"), example("cnn-bf16.safetensors"), example("cnn-f16.safetensors")]
}

fn secateur(arguments: &[&str]) -> Vec<u8> {
    let done = cargo_bin_cmd!("secateur").args(arguments).assert().success();
    done.get_output().stdout.clone()
}

/// What the command line says of each group, in its order.
fn command_line(path: &Path, by: &str) -> Vec<Value> {
    let out = secateur(&["stats", path.to_str().unwrap(), "--engine", "gpu", "--format", "json", "--by", by]);
    let parsed: Value = serde_json::from_slice(&out).expect("JSON");
    parsed["tensors"].as_array().expect("entries").clone()
}

fn assert_says(entry: &Value, moments: &Moments) {
    let floats = [
        ("mean", moments.mean()),
        ("variance", moments.variance()),
        ("skewness", moments.skewness()),
        ("kurtosis", moments.kurtosis()),
        ("l1", moments.l1()),
        ("l2", moments.l2()),
        ("abs_max", moments.abs_max()),
    ];
    for (name, value) in floats {
        assert_eq!(entry[name].as_f64().map(f64::to_bits), value.map(f64::to_bits), "{name} of {entry}");
    }
    for (name, value) in [("count", moments.count), ("nan", moments.nan), ("zeros", moments.zeros)] {
        assert_eq!(entry[name].as_u64(), Some(value), "{name} of {entry}");
    }
}

#[test]
fn moments_are_those_of_the_command_line() {
    let Some(host) = host() else { return };
    let folder = Folder::new();
    for path in models(&folder) {
        let tensors = tensors(&path);
        let weights = host.resident(&tensors, 16);
        for (by, name) in [(Grouping::Tensor, "tensor"), (Grouping::Output, "output"), (Grouping::Input, "input")] {
            let entries = command_line(&path, name);
            let pass = MomentsPass::new(&host.gpu, &weights, by).expect("a pass");
            let found = pass.run().expect("submitted").wait().expect("moments");
            let mut said = 0;
            for (tensor, found) in tensors.iter().zip(&found) {
                let of_tensor = entries.iter().filter(|e| e["name"] == *tensor.name);
                for (entry, group) in of_tensor.zip(&found.groups) {
                    assert_says(entry, group.as_ref().expect("magnitudes that a GPU is good for"));
                    said += 1;
                }
            }
            assert_eq!(said, entries.len());
        }
    }
    host.heard_nothing();
}

#[test]
fn pruning_and_restoring_are_those_of_the_command_line() {
    let Some(host) = host() else { return };
    let folder = Folder::new();
    let out = folder.path("out.safetensors");
    let masks = folder.path("masks.safetensors");
    let (out_text, masks_text) = (out.to_str().unwrap(), masks.to_str().unwrap());
    let rules: [(Rule, Option<f64>, Keep, &[&str]); 7] = [
        (Rule::Uniform, Some(0.5), Keep::Largest, &["--sparsity", "50%"]),
        (Rule::Uniform, Some(0.97), Keep::Largest, &["--sparsity", "97%"]),
        (Rule::Uniform, Some(0.3), Keep::Smallest, &["--sparsity", "30%", "--keep", "smallest"]),
        (Rule::Global, Some(0.7), Keep::Largest, &["--sparsity", "70%", "--allocation", "global"]),
        (
            Rule::Global,
            Some(0.1),
            Keep::Smallest,
            &["--sparsity", "10%", "--allocation", "global", "--keep", "smallest"],
        ),
        (Rule::NofM("2:4".parse().unwrap()), None, Keep::Largest, &["--pattern", "2:4"]),
        (Rule::NofM("1:3".parse().unwrap()), None, Keep::Smallest, &["--pattern", "1:3", "--keep", "smallest"]),
    ];
    for path in models(&folder) {
        for (rule, rate, keep, arguments) in &rules {
            let fits = |t: &Made| match rule {
                Rule::NofM(pattern) => t.shape.get(1).is_some_and(|n| n.is_multiple_of(pattern.of().into())),
                _ => true,
            };
            let tensors: Vec<Made> = tensors(&path).into_iter().filter(fits).collect();
            let mut all =
                vec!["prune", path.to_str().unwrap(), "-o", out_text, "--force", "--mask", masks_text, "--only", "*"];
            all.extend(*arguments);
            let summary = secateur(&[&all[..], &["--format", "json", "--engine", "cpu"]].concat());
            let summary: Value = serde_json::from_slice(&summary).expect("JSON");

            let weights = host.resident(&tensors, 4);
            let before = host.contents(weights[0].buffer());
            let pass = PrunePass::new(&host.gpu, &weights, *rule, *keep).expect("a pass");
            let amounts = rate.map_or(Vec::new(), |rate| pass.amounts(rate));

            // As an overlay first: on, off, and the weights are what they were.
            let mut encoder = host.encoder();
            pass.encode_masks(&mut encoder, &amounts).expect("recorded");
            let made = pass.masks().read(&host.gpu, &mut encoder).expect("recorded");
            host.submit(encoder);
            let made = made.wait().expect("masks");
            let mut overlay = Overlay::new(&host.gpu, &weights).expect("an overlay");
            let variant = pollster::block_on(overlay.add(pass.masks())).expect("a variant");
            let mut encoder = host.encoder();
            overlay.encode(&mut encoder, Some(variant)).expect("recorded");
            host.submit(encoder);
            let on = host.contents(weights[0].buffer());
            let mut encoder = host.encoder();
            overlay.encode(&mut encoder, None).expect("recorded");
            host.submit(encoder);
            assert_eq!(host.contents(weights[0].buffer()), before, "{arguments:?}: all is as it was");

            // Then for good.
            let cuts = pass.run(&amounts).expect("submitted").wait().expect("counts");
            let after = host.contents(weights[0].buffer());
            assert_eq!(on, after, "the overlay showed what was going to be");
            let mut outside = before.clone();
            for ((tensor, weights), (cut, words)) in tensors.iter().zip(&weights).zip(cuts.iter().zip(&made)) {
                let range = weights.offset() as usize..(weights.offset() + weights.bytes()) as usize;
                let name = &tensor.name;
                assert!(after[range.clone()] == bytes_of(&out, name), "{arguments:?} {name}");
                outside[range.clone()].copy_from_slice(&after[range]);
                let entry =
                    summary["tensors"].as_array().unwrap().iter().find(|e| e["name"] == **name).expect("an entry");
                assert_eq!(entry["cut"].as_u64(), Some(cut.cut), "{entry}");
                assert_eq!(entry["zeros_before"].as_u64(), Some(cut.zeros_before), "{entry}");
                assert_eq!(entry["zeros_after"].as_u64(), Some(cut.zeros_after), "{entry}");
                if rate.is_some() {
                    assert_eq!(entry["threshold"].as_f64(), cut.threshold, "{entry}");
                }
                let written = bytes_of(&masks, name);
                assert_eq!(bytemuck::cast_slice::<u32, u8>(words), written, "{name}");
            }
            assert_eq!(outside, after, "nothing else has changed");
        }
    }
    host.heard_nothing();
}
