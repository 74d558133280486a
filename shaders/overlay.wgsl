// Weights that a mask cuts, kept side by side in a store, so that they can be put back: a thread for each word of the mask.

@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> masks: array<u32>;
// Of each tile, how many weights it cuts, when they are counted; else where the first of them is in the store.
@group(0) @binding(3) var<storage, read_write> places: array<u32>;
@group(0) @binding(4) var<storage, read_write> store: array<atomic<u32>>;

struct Tile {
    start: u32,
    length: u32,
    mask: u32,
    cut: u32,
    index: u32,
}

// 0: count. 1: take weights out, which leaves zeros. 2: put them back.
override MODE: u32 = 0u;
// Bits of an element: 8, 16 or 32.
override WIDTH: u32 = 32u;

var<workgroup> numbers: array<u32, 256>;

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
    let first = thread * 32u;
    var cut = 0u;
    if first < tile.length {
        let rest = tile.length - first;
        cut = ~masks[tile.mask + thread] & select(0xffffffffu, (1u << (rest & 31u)) - 1u, rest < 32u);
    }
    numbers[thread] = countOneBits(cut);
    workgroupBarrier();
    // An inclusive scan in steps that double.
    for (var step = 1u; step < 256u; step *= 2u) {
        var sum = numbers[thread];
        if thread >= step {
            sum += numbers[thread - step];
        }
        workgroupBarrier();
        numbers[thread] = sum;
        workgroupBarrier();
    }
    if MODE == 0u {
        if thread == 255u {
            places[tile.index] = numbers[255];
        }
        return;
    }
    var place = places[tile.index] + numbers[thread] - countOneBits(cut);
    let each = 32u / WIDTH;
    let ones = 0xffffffffu >> (32u - WIDTH);
    while cut != 0u {
        let i = first + firstTrailingBit(cut);
        cut &= cut - 1u;
        let element = tile.start + i;
        let word = element / each;
        let shift = (element % each) * WIDTH;
        let kept_shift = (place % each) * WIDTH;
        if MODE == 1u {
            // The store's words were zero, and several threads may share one.
            let value = (data[word] >> shift) & ones;
            data[word] &= ~(ones << shift);
            atomicOr(&store[place / each], value << kept_shift);
        } else {
            let value = (atomicLoad(&store[place / each]) >> kept_shift) & ones;
            data[word] = (data[word] & ~(ones << shift)) | (value << shift);
        }
        place += 1u;
    }
}
