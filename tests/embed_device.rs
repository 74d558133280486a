//! What a host can rely on: nothing is allocated in steady state, nothing blocks, results are futures, and errors are values.
#![cfg(feature = "gpu")]

#[path = "files/device.rs"]
mod device;
mod files;
#[path = "files/models.rs"]
mod models;

use std::thread;

use device::{Host, device_with, host};
use models::Made;
use secateur::gpu::{Gpu, Masks, MomentsPass, OrderPass, Overlay, PrunePass, Ranking, Rule, Variant, Weights, wgpu};
use secateur::prune::Keep;
use secateur::stats::Grouping;
use secateur::{Error, Float};

fn weights(host: &Host) -> Vec<Weights> {
    let values: Vec<f32> = (0..40_000).map(|i| ((i * 7919) % 40_009) as f32 / 40_009.0 - 0.4).collect();
    host.resident(&[Made::f32("a", &[200, 200], &values), Made::f32("b", &[100, 400], &values)], 16)
}

fn variants(host: &Host, weights: &[Weights], overlay: &mut Overlay) -> Vec<Variant> {
    let pass = PrunePass::new(&host.gpu, weights, Rule::Global, Keep::Largest).expect("a pass");
    let each = [0.25, 0.5].map(|rate| {
        let mut encoder = host.encoder();
        pass.encode_masks(&mut encoder, &pass.amounts(rate)).expect("recorded");
        host.submit(encoder);
        pollster::block_on(overlay.add(pass.masks())).expect("a variant")
    });
    each.to_vec()
}

#[test]
fn the_steady_state_makes_no_buffer() {
    let Some(host) = host() else { return };
    let weights = weights(&host);
    let moments = MomentsPass::new(&host.gpu, &weights, Grouping::Output).expect("a pass");
    let prune = PrunePass::new(&host.gpu, &weights, Rule::Uniform, Keep::Largest).expect("a pass");
    let order = OrderPass::new(&host.gpu, &weights, Ranking::Values, 1).expect("a pass");
    let mut overlay = Overlay::new(&host.gpu, &weights).expect("an overlay");
    let variants = variants(&host, &weights, &mut overlay);
    let mut round = |i: usize| {
        let mut encoder = host.encoder();
        moments.encode(&mut encoder);
        let found = moments.read(&mut encoder).expect("recorded");
        prune.encode_masks(&mut encoder, &prune.amounts(i as f64 / 100.0)).expect("recorded");
        overlay.encode(&mut encoder, Some(variants[i % 2])).expect("recorded");
        order.encode(&mut encoder, &[3, i as u64]).expect("recorded");
        let smallest = order.read(&mut encoder).expect("recorded");
        host.submit(encoder);
        assert_eq!(found.wait().expect("moments").len(), 2);
        assert!(smallest.wait().expect("weights")[1].is_some());
        // Requests that time out, and encoders that are given up.
        drop(moments.run().expect("submitted"));
        let mut encoder = host.encoder();
        prune.encode_masks(&mut encoder, &prune.amounts(0.5)).expect("recorded");
        let given_up = moments.read(&mut encoder).expect("recorded");
        drop(encoder);
        drop(given_up);
        host.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
    };
    // The pools fill.
    (0..3).for_each(&mut round);
    let made = || {
        let counters = host.device.get_internal_counters();
        (host.gpu.buffers_made(), counters.hal.buffers.read(), counters.hal.memory_allocations.read())
    };
    let before = made();
    assert!(before.0 > 0 && before.1 > 0, "{before:?}");
    (3..60).for_each(&mut round);
    assert_eq!(made(), before, "buffers made by this crate, buffers and allocations that wgpu has");
    host.heard_nothing();
}

#[test]
fn results_are_futures_that_nobody_has_to_poll_the_device_for() {
    let Some(host) = host() else { return };
    let weights = weights(&host);
    let pass = MomentsPass::new(&host.gpu, &weights, Grouping::Tensor).expect("a pass");
    let want = pass.run().expect("submitted").wait().expect("moments");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let found = pollster::block_on(pass.run().expect("submitted")).expect("moments");
                    assert_eq!(found, want);
                }
            });
        }
    });
    // Recorded now, submitted later by another thread, awaited meanwhile.
    let mut encoder = host.encoder();
    pass.encode(&mut encoder);
    let found = pass.read(&mut encoder).expect("recorded");
    thread::scope(|scope| {
        let awaited = scope.spawn(|| pollster::block_on(found).expect("moments"));
        thread::sleep(std::time::Duration::from_millis(30));
        host.submit(encoder);
        assert_eq!(awaited.join().expect("no panic"), want);
    });
    // Dropped at any time.
    drop(pass.run().expect("submitted"));
    let mut encoder = host.encoder();
    drop(pass.read(&mut encoder).expect("recorded"));
    host.submit(encoder);
    let mut encoder = host.encoder();
    drop(pass.read(&mut encoder).expect("recorded"));
    drop(encoder);
    assert_eq!(pass.run().expect("submitted").wait().expect("moments"), want);
    // An encoder that is dropped, whoever waits or awaits.
    for awaits in [false, true] {
        let mut encoder = host.encoder();
        let found = pass.read(&mut encoder).expect("recorded");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| if awaits { pollster::block_on(found) } else { found.wait() });
            thread::sleep(std::time::Duration::from_millis(20));
            drop(encoder);
            refused(waiting.join().expect("no panic"), "dropped before they were submitted");
        });
    }
    host.heard_nothing();
}

#[test]
fn commands_that_the_device_refuses_give_no_old_result() {
    let Some(host) = host() else { return };
    let weights = weights(&host);
    let pass = MomentsPass::new(&host.gpu, &weights, Grouping::Tensor).expect("a pass");
    pass.run().expect("submitted").wait().expect("moments");
    let scope = host.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let mut encoder = host.encoder();
    pass.encode(&mut encoder);
    let found = pass.read(&mut encoder).expect("recorded");
    // A mistake of the host's, in the same encoder.
    encoder.copy_buffer_to_buffer(weights[0].buffer(), 0, weights[0].buffer(), 0, 1 << 40);
    host.submit(encoder);
    assert!(pollster::block_on(scope.pop()).is_some(), "the host is told");
    refused(found.wait(), "refused its commands");
    host.heard_nothing();
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: secateur::Result<T>, why: &str) {
    match result {
        Err(Error::Device(message)) => assert!(message.contains(why), "{message}"),
        other => panic!("{other:?} where {why} was to be said"),
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let Some(host) = host() else { return };
    let buffer = host.buffer(&[0; 4096]);
    refused(Weights::new(&buffer, 2, Float::F16, &[8]), "misaligned");
    refused(Weights::new(&buffer, 0, Float::F64, &[8]), "F64");
    refused(Weights::new(&buffer, 0, Float::F32, &[1025]), "beyond the buffer");
    refused(Weights::new(&buffer, 4096, Float::F32, &[1]), "beyond the buffer");
    refused(Weights::new(&buffer, u64::MAX - 3, Float::F32, &[1]), "beyond the buffer");
    refused(Weights::new(&buffer, 0, Float::E4M3, &[1 << 32]), "2^32");
    refused(Weights::new(&buffer, 0, Float::E4M3, &[u64::MAX, 2]), "2^32");
    let usage = wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    refused(Weights::new(&host.device.create_buffer(&descriptor), 0, Float::F32, &[4]), "STORAGE");

    let weights = [Weights::new(&buffer, 0, Float::F32, &[4, 6]).expect("they lie in it")];
    let twice = [weights[0].clone(), Weights::new(&buffer, 80, Float::F32, &[10]).expect("they lie in it")];
    refused(PrunePass::new(&host.gpu, &twice, Rule::Global, Keep::Largest), "overlap");
    refused(Overlay::new(&host.gpu, &twice), "overlap");
    refused(Masks::in_buffer(&buffer, 128, &weights), "multiple of 256");
    refused(Masks::in_buffer(&buffer, 4096, &weights), "lie inside");
    let pattern = Rule::NofM("2:4".parse().unwrap());
    refused(PrunePass::new(&host.gpu, &weights, pattern, Keep::Largest), "multiple of 4");
    let pass = PrunePass::new(&host.gpu, &weights, Rule::Uniform, Keep::Largest).expect("a pass");
    refused(pass.run(&[25]), "25");
    refused(pass.run(&[1, 2]), "[1, 2]");
    let mut overlay = Overlay::new(&host.gpu, &weights).expect("an overlay");
    let masks = Masks::new(&host.gpu, &weights).expect("masks");
    let variant = pollster::block_on(overlay.add(&masks)).expect("a variant");
    let mut other = Overlay::new(&host.gpu, &weights).expect("an overlay");
    pollster::block_on(other.add(&masks)).expect("a variant of its own");
    refused(other.encode(&mut host.encoder(), Some(variant)), "another overlay");
    host.heard_nothing();
}

#[test]
fn limits_are_read() {
    let few: fn(&mut wgpu::Limits) = |limits| limits.max_compute_invocations_per_workgroup = 128;
    let little: fn(&mut wgpu::Limits) = |limits| limits.max_storage_buffer_binding_size = 4096;
    for (change, why) in
        [(few, "max_compute_invocations_per_workgroup is 128"), (little, "max_storage_buffer_binding_size is 4096")]
    {
        let Some((device, queue)) = device_with(change) else { return };
        refused(Gpu::from_wgpu(device, queue), why);
    }
}

#[test]
fn more_than_a_buffer_holds_is_an_error() {
    let Some(host) = host() else { return };
    let buffer = host.buffer(&[0; 1 << 20]);
    let many: Vec<Weights> = (0..1000).map(|_| Weights::new(&buffer, 0, Float::E4M3, &[1024, 1024]).unwrap()).collect();
    let blocks = Grouping::Block(std::num::NonZeroU64::new(128).unwrap());
    // Some 400 MB of results; the device was asked for buffers of 256 MiB.
    refused(MomentsPass::new(&host.gpu, &many, blocks), "largest buffer");
    host.heard_nothing();
}

#[test]
fn a_lost_device_is_an_error() {
    let Some(host) = host() else { return };
    let weights = weights(&host);
    let pass = MomentsPass::new(&host.gpu, &weights, Grouping::Tensor).expect("a pass");
    pass.run().expect("submitted").wait().expect("moments");
    host.device.destroy();
    let after = pass.run().and_then(secateur::gpu::Pending::wait);
    assert!(matches!(after, Err(Error::Device(_))), "{after:?}");
    let awaited = pass.run().and_then(pollster::block_on);
    assert!(matches!(awaited, Err(Error::Device(_))), "{awaited:?}");
    let made = MomentsPass::new(&host.gpu, &weights, Grouping::Output).and_then(|pass| pass.run()?.wait());
    assert!(matches!(made, Err(Error::Device(_))), "{made:?}");
    host.heard_nothing();
}
