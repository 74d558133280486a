// Exact order statistics of groups, a workgroup for each rank of each: a radix selection by bytes, most significant
// first, a pass over the group for each byte. One rank a workgroup keeps loops short, too: some software adapters end an
// invocation, without an error, after 65535 rounds of all its loops together.

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> views: array<View>;
// As many for each group.
@group(0) @binding(2) var<storage, read> ranks: array<u32>;
@group(0) @binding(3) var<storage, read_write> found: array<u32>;

// Ranks of each group.
override RANKS: u32 = 1u;

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> sums: array<u32, 16>;
var<workgroup> prefix: u32;
var<workgroup> remaining: u32;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup.x + workgroup.y * workgroups.x;
    if index >= arrayLength(&views) * RANKS {
        return;
    }
    let view = views[index / RANKS];
    let answer = view.group * RANKS + index % RANKS;
    let bytes = 4u >> elements_log2();
    if thread == 0u {
        prefix = 0u;
        remaining = ranks[answer];
    }
    for (var pass_index = 0u; pass_index < bytes; pass_index++) {
        let shift = 8u * (bytes - 1u - pass_index);
        atomicStore(&counts[thread], 0u);
        workgroupBarrier();
        let upper = prefix;
        for (var j = thread; j < view.length; j += 256u) {
            let raw = element(view, j);
            let key = key_of(raw);
            // Shifted by a byte and then by the rest: a shift by 32 is none.
            if is_counted(raw) && (key >> shift) >> 8u == upper {
                atomicAdd(&counts[(key >> shift) & 0xffu], 1u);
            }
        }
        workgroupBarrier();
        if thread < 16u {
            var sum = 0u;
            for (var i = 0u; i < 16u; i++) {
                sum += atomicLoad(&counts[thread * 16u + i]);
            }
            sums[thread] = sum;
        }
        workgroupBarrier();
        if thread == 0u {
            var rank = remaining;
            if pass_index == 0u {
                // A rank beyond the group's values means its last.
                var all = 0u;
                for (var i = 0u; i < 16u; i++) {
                    all += sums[i];
                }
                rank = min(rank, max(all, 1u) - 1u);
            }
            var block = 0u;
            while block < 15u && rank >= sums[block] {
                rank -= sums[block];
                block += 1u;
            }
            var digit = block * 16u;
            while digit < block * 16u + 15u && rank >= atomicLoad(&counts[digit]) {
                rank -= atomicLoad(&counts[digit]);
                digit += 1u;
            }
            prefix = (upper << 8u) | digit;
            remaining = rank;
        }
        workgroupBarrier();
    }
    if thread == 0u {
        found[answer] = prefix;
    }
}
