// How often each value of a digit occurs, of those weights that share the digits that a pick has found already.

struct Tile {
    // First element, from the start of the data: on a whole word.
    start: u32,
    length: u32,
    // The pick that it is counted for.
    pick: u32,
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> picks: array<Pick>;
// Of each pick, the lower halves of its counts, then the upper ones.
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, 2048>;

// Adds to the bin of one element, given by its stored bits.
fn count(raw: u32, prefix: u32) {
    let width = 32u >> elements_log2();
    let sign = 1u << (width - 1u);
    var key = raw & (sign - 1u);
    if WIDE == 1u {
        key = decode(vec4(key)).x;
    }
    let magnitude = key;
    switch ORDER {
        case 1u: {
            key = select(largest() - key, key, key > largest());
        }
        case 2u: {
            key = select(raw | sign, ~raw & (sign | (sign - 1u)), (raw & sign) != 0u);
        }
        default: {}
    }
    // Where there is inf, it is the first that is not finite.
    let finite = magnitude < select(largest(), largest() + 1u, FORMAT == E4M3);
    let shares = FIRST == 1u || ((key ^ prefix) >> min(SHIFT + BITS, 31u)) == 0u;
    if shares && (ORDER != 2u || finite) {
        atomicAdd(&bins[(key >> SHIFT) & ((1u << BITS) - 1u)], 1u);
    }
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
    let pick = picks[tile.pick];
    if FIRST == 0u && pick.found == 0u {
        return;
    }
    for (var i = thread; i < DIGITS; i += 256u) {
        atomicStore(&bins[i], 0u);
    }
    workgroupBarrier();
    let log2 = elements_log2();
    let each = 1u << log2;
    let width = 32u >> log2;
    let mask = 0xffffffffu >> (32u - width);
    let first = tile.start >> log2;
    let words = (tile.length + each - 1u) >> log2;
    for (var at = thread; at < words; at += 1024u) {
        // Four loads are on their way at once.
        let inside = vec4(at) + vec4(0u, 256u, 512u, 768u) < vec4(words);
        let last = first + words - 1u;
        let four = vec4(
            data[first + at],
            data[min(first + at + 256u, last)],
            data[min(first + at + 512u, last)],
            data[min(first + at + 768u, last)],
        );
        for (var j = 0u; j < 4u; j++) {
            if inside[j] {
                let left = tile.length - ((at + 256u * j) << log2);
                for (var e = 0u; e < min(each, left); e++) {
                    count((four[j] >> (e * width)) & mask, pick.key);
                }
            }
        }
    }
    workgroupBarrier();
    let table = tile.pick * 2u * DIGITS;
    for (var i = thread; i < 1u << BITS; i += 256u) {
        let found = atomicLoad(&bins[i]);
        if found > 0u {
            // A sum beyond 32 bits carries into the upper half.
            let before = atomicAdd(&counts[table + i], found);
            if before + found < before {
                atomicAdd(&counts[table + DIGITS + i], 1u);
            }
        }
    }
}
