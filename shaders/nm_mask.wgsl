// Masks of N:M patterns: clears the bits of the M − N lowest of every M elements that lie `stride` apart. A thread
// ranks one group, by counting.

struct Groups {
    // First element of the first group of all, from the start of the data.
    start: u32,
    // The first group of this list, and how many it has: at most 256.
    first: u32,
    count: u32,
    // Elements from one member of a group to the next.
    stride: u32,
    // First word of the mask, whose first bit is that of the first element.
    mask: u32,
    // Members, and how many are cut.
    m: u32,
    cut: u32,
    // The largest magnitude that is no NaN.
    largest: u32,
    // 1: the largest are cut.
    above: u32,
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> groups: array<Groups>;
@group(0) @binding(2) var<storage, read_write> masks: array<atomic<u32>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup.x + workgroup.y * workgroups.x;
    if index >= arrayLength(&groups) {
        return;
    }
    let list = groups[index];
    if thread >= list.count {
        return;
    }
    let group = list.first + thread;
    let first = group / list.stride * list.m * list.stride + group % list.stride;
    var keys: array<u32, 32>;
    for (var i = 0u; i < list.m; i++) {
        let bits = magnitude(list.start + first + i * list.stride);
        let key = select(bits, list.largest - bits, list.above == 1u);
        keys[i] = select(key, 0xffffffffu, bits > list.largest);
    }
    for (var i = 0u; i < list.m; i++) {
        let key = keys[i];
        var rank = 0u;
        for (var j = 0u; j < list.m; j++) {
            rank += u32(keys[j] < key || (keys[j] == key && j < i));
        }
        if rank < list.cut && key != 0xffffffffu {
            let at = first + i * list.stride;
            atomicAnd(&masks[list.mask + at / 32u], ~(1u << (at % 32u)));
        }
    }
}
