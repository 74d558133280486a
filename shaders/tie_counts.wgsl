// How many elements of each tile equal its cut's magnitude.

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> cuts: array<Cut>;
@group(0) @binding(3) var<storage, read_write> ties: array<u32>;

var<workgroup> sum: atomic<u32>;

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
    let tie = cuts[tile.cut].tie;
    if thread == 0u {
        atomicStore(&sum, 0u);
    }
    workgroupBarrier();
    var count = 0u;
    let log2 = elements_log2();
    let each = 1u << log2;
    let first = tile.start >> log2;
    // Neighbours read neighbours.
    for (var i = thread << log2; i < tile.length; i += 256u << log2) {
        let word = data[first + (i >> log2)];
        for (var e = 0u; e < min(each, tile.length - i); e++) {
            count += u32(magnitude_in(word, e * (32u >> log2)) == tie);
        }
    }
    atomicAdd(&sum, count);
    workgroupBarrier();
    if thread == 0u {
        ties[tile.index] = atomicLoad(&sum);
    }
}
