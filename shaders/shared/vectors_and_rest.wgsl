// The data as vectors of 16 bytes, where they end in the middle of one.

// The same bytes.
@group(0) @binding(3) var<storage, read> words: array<u32>;

fn vector(v: u32) -> vec4<u32> {
    if v < arrayLength(&data) {
        return data[v];
    }
    // What is beyond the end belongs to no tile.
    let last = arrayLength(&words) - 1u;
    let at = min(vec4(4u * v) + vec4(0u, 1u, 2u, 3u), vec4(last));
    return vec4(words[at.x], words[at.y], words[at.z], words[at.w]);
}

