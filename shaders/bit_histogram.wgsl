// Counts of 16 bits of each weight: all of a 16-bit weight, the upper half of an f32, or the lower half of those f32
// whose upper half is one of some prefixes.

struct Tile {
    // First element, from the start of the data.
    start: u32,
    length: u32,
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
// Ascending.
@group(0) @binding(2) var<storage, read> prefixes: array<u32>;
// 65536 counts for each prefix.
@group(0) @binding(3) var<storage, read_write> tables: array<atomic<u32>>;

// 0: the upper 16 bits, in one table. 1: the lower 16 bits of f32 with a prefix.
override LEVEL: u32 = 0u;

fn count(table: u32, digit: u32) {
    atomicAdd(&tables[table * 65536u + digit], 1u);
}

fn count_below_prefix(bits: u32) {
    let upper = bits >> 16u;
    var low = 0u;
    var high = arrayLength(&prefixes);
    while low < high {
        let middle = (low + high) / 2u;
        if prefixes[middle] < upper {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    if low < arrayLength(&prefixes) && prefixes[low] == upper {
        count(low, bits & 0xffffu);
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
    if FORMAT == F32 {
        for (var i = tile.start + thread; i < tile.start + tile.length; i += 256u) {
            let bits = data[i];
            if LEVEL == 0u {
                count(0u, bits >> 16u);
            } else {
                count_below_prefix(bits);
            }
        }
    } else {
        let last = (tile.start + tile.length + 1u) / 2u;
        for (var word = tile.start / 2u + thread; word < last; word += 256u) {
            let two = data[word];
            let at = word * 2u - tile.start;
            if at < tile.length {
                count(0u, two & 0xffffu);
            }
            if at + 1u < tile.length {
                count(0u, two >> 16u);
            }
        }
    }
}
