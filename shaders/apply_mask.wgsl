// Weights under a mask: a bitwise AND on what is stored, whatever it means.

@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read> masks: array<u32>;

// Bits of an element: 8, 16, 32 or 64.
override WIDTH: u32 = 32u;

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
    let words = (tile.length * WIDTH + 31u) / 32u;
    let first = tile.start * (WIDTH / 8u) / 4u;
    for (var i = thread; i < words; i += 256u) {
        let element = i * 32u / WIDTH;
        let bits = masks[tile.mask + element / 32u] >> (element % 32u);
        var kept = 0u;
        switch WIDTH {
            case 8u: {
                let spread = (bits & 1u) | ((bits & 2u) << 7u) | ((bits & 4u) << 14u) | ((bits & 8u) << 21u);
                kept = spread * 0xffu;
            }
            case 16u: {
                kept = ((bits & 1u) | ((bits & 2u) << 15u)) * 0xffffu;
            }
            default: {
                kept = 0u - (bits & 1u);
            }
        }
        // The last word may be shared with what is not of this tile.
        let rest = (tile.length - element) * WIDTH;
        if rest < 32u {
            kept |= 0xffffffffu << rest;
        }
        data[first + i] &= kept;
    }
}
