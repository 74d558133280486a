// Masks from a threshold: a bit for each element, 1 = kept. A thread makes a word.

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> cuts: array<Cut>;
// Ties before each tile, and how many of its ties each cut may cut. Only read, but in one buffer with what is written.
@group(0) @binding(3) var<storage, read_write> ties: array<u32>;
@group(0) @binding(4) var<storage, read_write> allowed: array<u32>;
@group(0) @binding(5) var<storage, read_write> masks: array<u32>;

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
    let cut = cuts[tile.cut];
    let elements = elements_of(tile, thread);
    let log2 = elements_log2();
    let width = 32u >> log2;
    let first = (tile.start + thread * 32u) >> log2;
    var below = 0u;
    var equal = 0u;
    for (var i = 0u; i < elements; i += 1u << log2) {
        let word = data[first + (i >> log2)];
        for (var e = 0u; e < 1u << log2; e++) {
            let bits = magnitude_in(word, e * width);
            below |= u32(bits - cut.start < cut.span) << (i + e);
            equal |= u32(bits == cut.tie) << (i + e);
        }
    }
    // The last word may hold what is not of this tile.
    let inside = select(0xffffffffu, (1u << (elements & 31u)) - 1u, elements < 32u);
    below &= inside;
    equal &= inside;
    let ties_here = inclusive_sum(thread, countOneBits(equal)) - countOneBits(equal);
    let before = ties[tile.index] - ties[cut.first_tile] + ties_here;
    let may = allowed[tile.cut];
    // The first ties of this word that are cut: as many as are left.
    var left = select(0u, may - before, before < may);
    var rest = equal;
    while left > 0u && rest != 0u {
        rest &= rest - 1u;
        left -= 1u;
    }
    if elements > 0u {
        masks[tile.mask + thread] = ~(below | (equal & ~rest)) & inside;
    }
}
