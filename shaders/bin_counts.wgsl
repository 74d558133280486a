// Counts of values between thresholds: a histogram with any edges, each value's bin found by search among the keys at
// which one bin passes into the next.

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> views: array<View>;
// As many for each group.
@group(0) @binding(2) var<storage, read> thresholds: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;

// Thresholds of each group.
override THRESHOLDS: u32 = 1u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup.x + workgroup.y * workgroups.x;
    if index >= arrayLength(&views) {
        return;
    }
    let view = views[index];
    let first = view.group * THRESHOLDS;
    for (var j = thread; j < view.length; j += 256u) {
        let raw = element(view, j);
        if is_counted(raw) {
            let key = key_of(raw);
            var low = 0u;
            var high = THRESHOLDS;
            while low < high {
                let middle = (low + high) / 2u;
                if thresholds[first + middle] <= key {
                    low = middle + 1u;
                } else {
                    high = middle;
                }
            }
            atomicAdd(&counts[view.group * (THRESHOLDS + 1u) + low], 1u);
        }
    }
}
