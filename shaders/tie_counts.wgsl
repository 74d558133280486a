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
    // Neighbours read neighbours.
    for (var i = thread; i < tile.length; i += 256u) {
        count += u32(magnitude(tile.start + i) == tie);
    }
    atomicAdd(&sum, count);
    workgroupBarrier();
    if thread == 0u {
        ties[tile.index] = atomicLoad(&sum);
    }
}
