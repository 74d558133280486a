//! Slices gathered on the GPU, which are those of the definition as the CPU's are.

use super::tests::engines;
use crate::kernels::gather::Case;

#[test]
fn every_width_axis_and_choice() {
    let Some((_, gpu)) = engines() else { return };
    Case::check(gpu, &Case::all(), 0, true);
}

#[test]
fn more_than_a_part_and_a_chunk() {
    let Some((cpu, gpu)) = engines() else { return };
    let mut cases = Vec::new();
    // Blocks, indices, slices, each more than travels together.
    for shape in [[90_001, 5, 3], [1, 1_200_003, 1], [3, 2, 100_001], [2, 700, 1_003], [40, 9, 5_000]] {
        cases.extend([1, 2].map(|width| Case::new(width, shape, |k| k % 5 != 3)));
        cases.extend([1, 4].map(|width| Case::new(width, shape, |k| k.wrapping_mul(0x9e37_79b9) >> 28 == 3)));
    }
    cases.push(Case::new(8, [2, 3, 70_001], |k| k != 1));
    Case::check(gpu, &cases, 0, false);
    Case::check(gpu, &cases[2..], 1 << 30, false);
    Case::check(cpu, &cases, 0, false);
}

#[test]
fn more_jobs_than_one_dimension_has() {
    let Some((_, gpu)) = engines() else { return };
    let widths = [1, 2, 4, 8].into_iter().cycle();
    let cases: Vec<Case> =
        (0..70_000).zip(widths).map(|(i, width)| Case::new(width, [1, 3, 1 + i % 3], |k| k != 1)).collect();
    for memory_bytes in [0, 1 << 30] {
        Case::check(gpu, &cases, memory_bytes, false);
    }
}
