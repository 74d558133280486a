// Weights that a mask cuts, kept side by side in a store, so that they can be put back: a thread for each word of the mask.

@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> masks: array<u32>;
// Of each tile, how many weights it cuts, when they are counted; else where the first of them is in the store.
@group(0) @binding(3) var<storage, read_write> places: array<u32>;
// Zero where no weight is kept.
@group(0) @binding(4) var<storage, read_write> store: array<atomic<u32>>;
// Which variant is on: its number from 1 on, or 0.
@group(0) @binding(5) var<storage, read_write> state: array<u32>;
// The number of this one.
@group(0) @binding(6) var<storage, read> variant: array<u32>;

// 0: count. 1: take weights out, which leaves zeros, if no variant is on. 2: put them back, if it is this one. 3 and 4: note that
// the first or the second of it is done. So commands that come in another order than they were recorded in, or not at all, do
// nothing instead of harm.
override MODE: u32 = 0u;
// Bits of an element: 8, 16 or 32.
override WIDTH: u32 = 32u;

var<workgroup> is_on: u32;

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
    if thread == 0u {
        is_on = state[0];
    }
    let on = workgroupUniformLoad(&is_on);
    if MODE > 0u && on != select(0u, variant[0], MODE == 2u || MODE == 4u) {
        return;
    }
    if MODE > 2u {
        if index == 0u && thread == 0u {
            state[0] = select(0u, variant[0], MODE == 3u);
        }
        return;
    }
    let tile = tiles[index];
    let first = thread * 32u;
    var cut = 0u;
    if first < tile.length {
        let rest = tile.length - first;
        cut = ~masks[tile.mask + thread] & select(0xffffffffu, (1u << (rest & 31u)) - 1u, rest < 32u);
    }
    let numbered = inclusive_sum(thread, countOneBits(cut));
    if MODE == 0u {
        if thread == 255u {
            places[tile.index] = numbered;
        }
        return;
    }
    var place = places[tile.index] + numbered - countOneBits(cut);
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
            // Several threads may share a word of the store.
            let value = (data[word] >> shift) & ones;
            data[word] &= ~(ones << shift);
            atomicOr(&store[place / each], value << kept_shift);
        } else {
            let value = (atomicLoad(&store[place / each]) >> kept_shift) & ones;
            data[word] = (data[word] & ~(ones << shift)) | (value << shift);
            atomicAnd(&store[place / each], ~(ones << kept_shift));
        }
        place += 1u;
    }
}
