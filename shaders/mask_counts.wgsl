// What a mask does to its weights, added up for each cut: how many it keeps, how many are zero, how many of those it keeps,
// and the largest magnitude that it cuts, plus one.

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
// Only read, but in one buffer with the counts.
@group(0) @binding(2) var<storage, read_write> masks: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;

var<workgroup> sums: array<atomic<u32>, 4>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup.x + workgroup.y * workgroups.x;
    if index >= arrayLength(&tiles) {
        return;
    }
    let tile = tiles[index];
    if thread < 4u {
        atomicStore(&sums[thread], 0u);
    }
    workgroupBarrier();
    if thread * 32u < tile.length {
        atomicAdd(&sums[0], countOneBits(masks[tile.mask + thread]));
    }
    var zeros = 0u;
    var kept_zeros = 0u;
    var largest = 0u;
    let log2 = elements_log2();
    let each = 1u << log2;
    let first = tile.start >> log2;
    for (var i = thread << log2; i < tile.length; i += 256u << log2) {
        let word = data[first + (i >> log2)];
        let mask = masks[tile.mask + i / 32u] >> (i % 32u);
        for (var e = 0u; e < min(each, tile.length - i); e++) {
            let bits = magnitude_in(word, e * (32u >> log2));
            let kept = (mask >> e) & 1u;
            let zero = u32(bits == 0u);
            zeros += zero;
            kept_zeros += zero & kept;
            largest = max(largest, (bits + 1u) * (1u - kept));
        }
    }
    atomicAdd(&sums[1], zeros);
    atomicAdd(&sums[2], kept_zeros);
    atomicMax(&sums[3], largest);
    workgroupBarrier();
    if thread < 3u {
        atomicAdd(&counts[tile.cut * 4u + thread], atomicLoad(&sums[thread]));
    } else if thread == 3u {
        atomicMax(&counts[tile.cut * 4u + 3u], atomicLoad(&sums[3]));
    }
}
