// Slices along an axis, copied together: whatever the elements mean. A workgroup writes some consecutive words of one job's
// output; an invocation assembles whole words, so that no two write the same.

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> jobs: array<Job>;
@group(0) @binding(3) var<storage, read> kept: array<u32>;
@group(0) @binding(4) var<storage, read_write> gathered: array<u32>;

struct Tile {
    job: u32,
    first: u32,
    words: u32,
}

struct Job {
    input: u32,
    output: u32,
    elements: u32,
    axis: u32,
    inner: u32,
    kept: u32,
    count: u32,
}

// Bits of an element: 8, 16, 32 or 64.
override WIDTH: u32 = 32u;

// Where in the input element `index` of the output is.
fn origin(job: Job, index: u32) -> u32 {
    let slice = index / job.inner;
    let row = slice / job.count;
    let which = kept[job.kept + slice - row * job.count];
    return (row * job.axis + which) * job.inner + index - slice * job.inner;
}

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
    let job = jobs[tile.job];
    for (var i = thread; i < tile.words; i += 256u) {
        let word = tile.first + i;
        var value = 0u;
        if WIDTH == 64u {
            value = data[job.input + origin(job, word / 2u) * 2u + word % 2u];
        } else {
            // Of 8 and 16 bits, four and two elements of it, less at the end of the output.
            let each = max(32u / WIDTH, 1u);
            for (var part = 0u; part < each; part++) {
                let element = word * each + part;
                if element < job.elements {
                    let at = origin(job, element);
                    let bits = data[job.input + at / each] >> (at % each * WIDTH % 32u);
                    // A shift by 32 bits is none, so 32 bits have no mask.
                    let mask = select((1u << (WIDTH % 32u)) - 1u, 0xffffffffu, WIDTH == 32u);
                    value |= (bits & mask) << (part * WIDTH % 32u);
                }
            }
        }
        gathered[job.output + word] = value;
    }
}
