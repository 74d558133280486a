// What reading costs: every word is loaded and added, nothing else. A workgroup takes 64 KiB.

@group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;

const THREADS: u32 = 256u;
const VECTORS: u32 = 16u;

var<workgroup> parts: array<u32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup.x + workgroup.y * workgroups.x;
    if index >= arrayLength(&sums) {
        return;
    }
    let first = index * THREADS * VECTORS + thread;
    let last = arrayLength(&data);
    var sum = vec4(0u);
    for (var i = 0u; i < VECTORS; i += 4u) {
        let at = first + i * THREADS;
        if at + 3u * THREADS < last {
            // Four loads are on their way at once.
            sum += (data[at] + data[at + THREADS]) + (data[at + 2u * THREADS] + data[at + 3u * THREADS]);
        } else {
            for (var v = at; v < min(last, at + 4u * THREADS); v += THREADS) {
                sum += data[v];
            }
        }
    }
    parts[thread] = (sum.x + sum.y) + (sum.z + sum.w);
    workgroupBarrier();
    for (var step = 128u; step > 0u; step /= 2u) {
        if thread < step {
            parts[thread] += parts[thread + step];
        }
        workgroupBarrier();
    }
    if thread == 0u {
        sums[index] = parts[0];
    }
}
