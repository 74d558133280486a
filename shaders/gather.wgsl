// Slices of tensors that are kept along an axis, copied together: an invocation makes whole words of the result, out of
// the elements that each holds, so that no two write the same word.

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> parts: array<Part>;
@group(0) @binding(3) var<storage, read> kept: array<u32>;
@group(0) @binding(4) var<storage, read_write> found: array<u32>;

struct Tile {
    // Which part it belongs to.
    part: u32,
    // First word, from the start of the part's result.
    first: u32,
    // Words: few enough for short loops.
    words: u32,
}

// Everything in elements, but for `out`.
struct Part {
    // First element, from the start of the data.
    start: u32,
    // From a block to the next.
    stride: u32,
    // Of a slice.
    inner: u32,
    // Slices kept of a block, and the first of their indices, from the part's first slice.
    count: u32,
    kept: u32,
    // First word of the result, and its elements.
    out: u32,
    length: u32,
    // Elements of a word, as a power of two.
    log2: u32,
}

// Where element `i` of the result lies in the data.
fn place(part: Part, i: u32) -> u32 {
    let row = part.count * part.inner;
    let rest = i % row;
    return part.start + i / row * part.stride + kept[part.kept + rest / part.inner] * part.inner + rest % part.inner;
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
    let part = parts[tile.part];
    let bits = 32u >> part.log2;
    let mask = 0xffffffffu >> (32u - bits);
    let within = (1u << part.log2) - 1u;
    for (var word = tile.first + thread; word < tile.first + tile.words; word += 256u) {
        let first = word << part.log2;
        let end = min(first + within + 1u, part.length);
        var made = 0u;
        for (var i = first; i < end; i++) {
            let at = place(part, i);
            let element = (data[at >> part.log2] >> ((at & within) * bits)) & mask;
            made |= element << ((i - first) * bits);
        }
        // The rest of the last word is somebody else's.
        let bits_made = (end - first) * bits;
        let rest = select(0xffffffffu << bits_made, 0u, bits_made == 32u);
        found[part.out + word] = made | (found[part.out + word] & rest);
    }
}
