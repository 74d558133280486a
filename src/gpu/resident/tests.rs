//! Counts beyond 32 bits, which no test has enough weights for.

use super::window::part;
use crate::Float;
use crate::gpu::tests::engines;
use crate::gpu::{Gpu, Pending, kernel};
use crate::kernels::digit_counts::{self, Order, Pick, TABLE_BYTES, Tile};
use crate::kernels::{digit_pick, threshold_mask};

const ORDER: Order = Order::Magnitude { above: false, wide: false };

fn buffer(gpu: &Gpu, words: &[u32]) -> wgpu::Buffer {
    use wgpu::BufferUsages as Usage;
    let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    gpu.filled("test", bytemuck::cast_slice(words), usage).unwrap()
}

fn words(gpu: &Gpu, dispatch: &crate::gpu::Dispatch, buffer: &wgpu::Buffer) -> Vec<u32> {
    let read = |bytes: &[u8]| Ok(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect());
    let found = gpu.run("test", |encoder| {
        kernel::record(encoder, "test", [dispatch]);
        Pending::record(gpu, encoder, buffer, buffer.size(), read)
    });
    found.unwrap().wait().unwrap()
}

#[test]
fn counts_carry_beyond_32_bits() {
    let Some((_, engine)) = engines() else { return };
    let gpu = &engine.gpu;
    let data = buffer(gpu, &[1.0f32.to_bits(); 1000]);
    let tile = Tile { start: 0, length: 1000, pick: 0 };
    let (tiles, picks) = (buffer(gpu, bytemuck::cast_slice(&[tile])), buffer(gpu, &[0; 8]));
    let digit = ORDER.digits(Float::F32).next().unwrap();
    let bin = (1.0f32.to_bits() >> digit.start) as usize;
    let mut table = vec![0; TABLE_BYTES as usize / 4];
    (table[bin], table[2048 + bin]) = (u32::MAX - 600, 6);
    let counts = buffer(gpu, &table);
    let buffers = [&data, &tiles, &picks, &counts].map(|b| part(b, 0..b.size()));
    let dispatch = digit_counts::kernel(gpu, ORDER, Float::F32, &digit).unwrap().prepare(gpu, &buffers, 1).unwrap();
    let found = words(gpu, &dispatch, &counts);
    assert_eq!((found[bin], found[2048 + bin]), (399, 7));
    assert_eq!(found.iter().filter(|n| **n > 0).count(), 2);
}

#[test]
fn ranks_beyond_32_bits_are_found() {
    let Some((_, engine)) = engines() else { return };
    let gpu = &engine.gpu;
    // 5 · 2^32 + 7 of the first value, 2^33 of the third, one of the last.
    let mut table = vec![0u32; TABLE_BYTES as usize / 4];
    (table[0], table[2048], table[2048 + 2], table[2047]) = (7, 5, 2, 1);
    let all = (5u64 << 32) + 7 + (2u64 << 32) + 1;
    for (rank, want) in [
        (1, Some((0, 1))),
        ((5 << 32) + 7, Some((0, (5 << 32) + 7))),
        ((5 << 32) + 8, Some((2, 1))),
        (all - 1, Some((2, 2 << 32))),
        (all, Some((2047, 1))),
        (all + 1, None),
        (0, None),
    ] {
        let counts: Vec<u64> = (0..2048).map(|i| u64::from(table[i]) | u64::from(table[2048 + i]) << 32).collect();
        if rank > 0 {
            assert_eq!(digit_pick::pick(&counts, rank), want, "the twin");
        }
        let first = Pick { cuts: 1, ..Pick::default() };
        let picks = buffer(gpu, bytemuck::cast_slice(&[first]));
        let counts = buffer(gpu, &table);
        let asked = buffer(gpu, &[rank as u32, (rank >> 32) as u32]);
        let cut = threshold_mask::Cut::new(None, 0, 0..3);
        let (cuts, budgets) = (buffer(gpu, bytemuck::cast_slice(&[cut])), buffer(gpu, &[0; 2]));
        let buffers = [&picks, &asked, &counts, &cuts, &budgets].map(|b| part(b, 0..b.size()));
        let digit = ORDER.digits(Float::F32).next().unwrap();
        let kernel = digit_pick::kernel(gpu, ORDER, Float::F32, &digit, true).unwrap();
        let found = words(gpu, &kernel.prepare(gpu, &buffers, 1).unwrap(), &picks);
        let pick: Pick = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&found));
        let said = (pick.found == 1)
            .then(|| (u64::from(pick.key >> digit.start), u64::from(pick.low) | u64::from(pick.high) << 32));
        assert_eq!(said, want, "{rank}");
    }
}
