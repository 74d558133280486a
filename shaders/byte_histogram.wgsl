// How often each of 256 values occurs in a tile of 8-bit weights, added to the table of its run. Every statistic of
// the run follows from it exactly.

struct Tile {
    // First element, from the start of the data.
    start: u32,
    length: u32,
    // Which table it belongs to.
    table: u32,
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read_write> tables: array<atomic<u32>>;

// Two copies of each count, for even and odd threads: weights crowd around a few values.
var<workgroup> counts: array<atomic<u32>, 512>;

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
    atomicStore(&counts[thread], 0u);
    atomicStore(&counts[thread + 256u], 0u);
    workgroupBarrier();
    let copy = (thread & 1u) * 256u;
    let last = (tile.start + tile.length + 3u) / 4u;
    for (var word = tile.start / 4u + thread; word < last; word += 256u) {
        let four = data[word];
        let at = word * 4u - tile.start;
        for (var i = 0u; i < 4u; i++) {
            if at + i < tile.length {
                atomicAdd(&counts[copy + ((four >> (8u * i)) & 0xffu)], 1u);
            }
        }
    }
    workgroupBarrier();
    let count = atomicLoad(&counts[thread]) + atomicLoad(&counts[thread + 256u]);
    if count > 0u {
        atomicAdd(&tables[tile.table * 256u + thread], count);
    }
}
