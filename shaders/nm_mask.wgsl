// Masks of N:M patterns: the M − N lowest of every M elements are cut. By counting: a comparison says which of two goes first.

struct Groups {
    // First element of the first group of all, from the start of the data.
    start: u32,
    // The first group of this list, or where a thread makes a word of the mask, the first word; and how many: at most 256.
    first: u32,
    count: u32,
    // Elements from one member of a group to the next.
    stride: u32,
    // First word of the mask, whose first bit is that of the first element.
    mask: u32,
    // Elements in all.
    length: u32,
    // Members that are cut.
    cut: u32,
    // The largest magnitude that is no NaN.
    largest: u32,
    // 1: the largest are cut.
    above: u32,
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> groups: array<Groups>;
@group(0) @binding(2) var<storage, read_write> masks: array<atomic<u32>>;

// Members of a group.
override M: u32 = 4u;
// 1: groups lie side by side, whole ones in a word of the mask, which a thread makes. 0: a thread ranks one group, and clears
// bits of a mask of ones.
override WORDS: u32 = 0u;

fn key_of(list: Groups, bits: u32) -> u32 {
    let key = select(bits, list.largest - bits, list.above == 1u);
    return select(key, 0xffffffffu, bits > list.largest);
}

// Four members: six comparisons.
fn cut_of_four(k: vec4<u32>, cut: u32) -> u32 {
    let a = u32(k.x <= k.y);
    let b = u32(k.x <= k.z);
    let c = u32(k.x <= k.w);
    let d = u32(k.y <= k.z);
    let e = u32(k.y <= k.w);
    let f = u32(k.z <= k.w);
    let ranks = vec4(3u - a - b - c, 2u + a - d - e, 1u + b + d - f, c + e + f);
    let ones = select(vec4(0u), vec4(1u, 2u, 4u, 8u), (ranks < vec4(cut)) & (k != vec4(0xffffffffu)));
    return (ones.x | ones.y) | (ones.z | ones.w);
}

// The keys of the four elements from `i` on.
fn four_keys(list: Groups, i: u32) -> vec4<u32> {
    let at = list.start + i;
    let log2 = elements_log2();
    var k: vec4<u32>;
    switch log2 {
        case 0u: {
            k = vec4(magnitude(at), magnitude(at + 1u), magnitude(at + 2u), magnitude(at + 3u));
        }
        case 1u: {
            let v = vec2(data[at >> 1u], data[(at >> 1u) + 1u]);
            k = vec4(magnitude_in(v.x, 0u), magnitude_in(v.x, 16u), magnitude_in(v.y, 0u), magnitude_in(v.y, 16u));
        }
        default: {
            let v = data[at >> 2u];
            k = vec4(magnitude_in(v, 0u), magnitude_in(v, 8u), magnitude_in(v, 16u), magnitude_in(v, 24u));
        }
    }
    return vec4(key_of(list, k.x), key_of(list, k.y), key_of(list, k.z), key_of(list, k.w));
}

fn make_word(list: Groups, word: u32) {
    let first = word * 32u;
    let elements = min(32u, list.length - first);
    var cut = 0u;
    if M == 4u {
        for (var i = 0u; i < elements; i += 4u) {
            cut |= cut_of_four(four_keys(list, first + i), list.cut) << i;
        }
    } else {
        var keys: array<u32, 32>;
        for (var i = 0u; i < elements; i++) {
            keys[i] = key_of(list, magnitude(list.start + first + i));
        }
        for (var i = 0u; i < elements; i++) {
            let start = i / M * M;
            var rank = 0u;
            for (var j = start; j < start + M; j++) {
                rank += u32(keys[j] < keys[i] || (keys[j] == keys[i] && j < i));
            }
            cut |= u32(rank < list.cut && keys[i] != 0xffffffffu) << i;
        }
    }
    let inside = select(0xffffffffu, (1u << (elements & 31u)) - 1u, elements < 32u);
    atomicStore(&masks[list.mask + word], ~cut & inside);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup.x + workgroup.y * workgroups.x;
    if index >= arrayLength(&groups) {
        return;
    }
    let list = groups[index];
    if thread >= list.count {
        return;
    }
    if WORDS == 1u {
        make_word(list, list.first + thread);
        return;
    }
    let group = list.first + thread;
    let first = group / list.stride * M * list.stride + group % list.stride;
    var keys: array<u32, 32>;
    for (var i = 0u; i < M; i++) {
        keys[i] = key_of(list, magnitude(list.start + first + i * list.stride));
    }
    for (var i = 0u; i < M; i++) {
        let key = keys[i];
        var rank = 0u;
        for (var j = 0u; j < M; j++) {
            rank += u32(keys[j] < key || (keys[j] == key && j < i));
        }
        if rank < list.cut && key != 0xffffffffu {
            let at = first + i * list.stride;
            atomicAnd(&masks[list.mask + at / 32u], ~(1u << (at % 32u)));
        }
    }
}
