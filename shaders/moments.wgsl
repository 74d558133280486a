// The moments of runs of weights that lie side by side, a workgroup for each tile of up to 4096 elements.
//
// A tile lies within 4096 elements counted from the vector that it starts in, so that its loads are whole and aligned
// vectors; elements outside it are masked. All of it stays in registers, 16 elements a thread, while the workgroup finds first
// its extremes and mean and then the sums of powers around that mean.

struct Tile {
    // First element, from the start of the data.
    start: u32,
    length: u32,
}

@group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read_write> partials: array<Partial>;

const THREADS: u32 = 256u;

// Sixteen elements as f32 bits, and where each is from the start of the tile.
struct Elements {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
    at_a: vec4<u32>,
    at_b: vec4<u32>,
    at_c: vec4<u32>,
    at_d: vec4<u32>,
}

fn load(start: u32, thread: u32) -> Elements {
    let each = 4u << elements_log2();
    let first = start / each * each;
    var e: Elements;
    switch FORMAT {
        case F32: {
            let v = first / 4u + thread;
            e.a = vector(v);
            e.b = vector(v + THREADS);
            e.c = vector(v + 2u * THREADS);
            e.d = vector(v + 3u * THREADS);
            let at = vec4(first + 4u * thread - start) + vec4(0u, 1u, 2u, 3u);
            e.at_a = at;
            e.at_b = at + vec4(4u * THREADS);
            e.at_c = at + vec4(8u * THREADS);
            e.at_d = at + vec4(12u * THREADS);
        }
        case F16, BF16: {
            let v = first / 8u + thread;
            let x = vector(v);
            let y = vector(v + THREADS);
            e.a = decode(x & vec4(0xffffu));
            e.b = decode(x >> vec4(16u));
            e.c = decode(y & vec4(0xffffu));
            e.d = decode(y >> vec4(16u));
            let at = vec4(first + 8u * thread - start) + vec4(0u, 2u, 4u, 6u);
            e.at_a = at;
            e.at_b = at + vec4(1u);
            e.at_c = at + vec4(8u * THREADS);
            e.at_d = e.at_c + vec4(1u);
        }
        default: {
            let x = vector(first / 16u + thread);
            e.a = decode(x & vec4(0xffu));
            e.b = decode((x >> vec4(8u)) & vec4(0xffu));
            e.c = decode((x >> vec4(16u)) & vec4(0xffu));
            e.d = decode(x >> vec4(24u));
            let at = vec4(first + 16u * thread - start) + vec4(0u, 4u, 8u, 12u);
            e.at_a = at;
            e.at_b = at + vec4(1u);
            e.at_c = at + vec4(2u);
            e.at_d = at + vec4(3u);
        }
    }
    return e;
}

var<workgroup> floats: array<array<f32, 256>, 5>;
var<workgroup> keys: array<vec2<i32>, 256>;
var<workgroup> counts: array<vec2<u32>, 256>;
// What 16 threads have reduced of each, and the results of the first reduction.
var<workgroup> float_parts: array<array<f32, 16>, 5>;
var<workgroup> key_parts: array<vec2<i32>, 16>;
var<workgroup> count_parts: array<vec2<u32>, 16>;

fn sum_of_16(which: u32, lane: u32) -> f32 {
    var s: array<f32, 8>;
    s[0] = floats[which][lane] + floats[which][lane + 16u];
    s[1] = floats[which][lane + 32u] + floats[which][lane + 48u];
    s[2] = floats[which][lane + 64u] + floats[which][lane + 80u];
    s[3] = floats[which][lane + 96u] + floats[which][lane + 112u];
    s[4] = floats[which][lane + 128u] + floats[which][lane + 144u];
    s[5] = floats[which][lane + 160u] + floats[which][lane + 176u];
    s[6] = floats[which][lane + 192u] + floats[which][lane + 208u];
    s[7] = floats[which][lane + 224u] + floats[which][lane + 240u];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

fn sum_of_parts(which: u32) -> f32 {
    var s: array<f32, 8>;
    for (var i = 0u; i < 8u; i++) {
        s[i] = float_parts[which][2u * i] + float_parts[which][2u * i + 1u];
    }
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

fn total(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn total_count(v: vec4<u32>) -> u32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn ones(mask: vec4<bool>) -> vec4<u32> {
    return select(vec4(0u), vec4(1u), mask);
}

struct Kinds {
    summed: vec4<bool>,
    nan: vec4<u32>,
    inf: vec4<u32>,
    zero: vec4<u32>,
}

fn kinds(bits: vec4<u32>, at: vec4<u32>, length: u32) -> Kinds {
    let inside = at < vec4(length);
    let magnitude = bits & vec4(MAGNITUDE);
    let zero = inside & (magnitude == vec4(0u));
    let left_out = zero & vec4(LOGARITHMS == 1u);
    let summed = inside & (magnitude < vec4(INFINITY)) & !left_out;
    let nan = ones(inside & (magnitude > vec4(INFINITY)));
    return Kinds(summed, nan, ones(inside & (magnitude == vec4(INFINITY))), ones(zero));
}

fn least(keys: vec4<i32>, mask: vec4<bool>) -> i32 {
    let k = select(vec4(0x7fffffff), keys, mask);
    return min(min(k.x, k.y), min(k.z, k.w));
}

fn most(keys: vec4<i32>, mask: vec4<bool>) -> i32 {
    let k = select(vec4(-0x7fffffff), keys, mask);
    return max(max(k.x, k.y), max(k.z, k.w));
}

fn key(bits: vec4<u32>) -> vec4<i32> {
    if LOGARITHMS == 1u {
        return bitcast<vec4<i32>>(bits & vec4(MAGNITUDE));
    }
    return ordered(bits);
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
    let e = load(tile.start, thread);
    let ka = kinds(e.a, e.at_a, tile.length);
    let kb = kinds(e.b, e.at_b, tile.length);
    let kc = kinds(e.c, e.at_c, tile.length);
    let kd = kinds(e.d, e.at_d, tile.length);
    let zero = vec4(0.0);
    let a = select(zero, transformed(select(vec4(1u), e.a, ka.summed)), ka.summed);
    let b = select(zero, transformed(select(vec4(1u), e.b, kb.summed)), kb.summed);
    let c = select(zero, transformed(select(vec4(1u), e.c, kc.summed)), kc.summed);
    let d = select(zero, transformed(select(vec4(1u), e.d, kd.summed)), kd.summed);

    let finite = total_count((ones(ka.summed) + ones(kb.summed)) + (ones(kc.summed) + ones(kd.summed)));
    let nan = total_count((ka.nan + kb.nan) + (kc.nan + kd.nan));
    let inf = total_count((ka.inf + kb.inf) + (kc.inf + kd.inf));
    let zeros = total_count((ka.zero + kb.zero) + (kc.zero + kd.zero));
    floats[0][thread] = total((a * PILOT_UNIT + b * PILOT_UNIT) + (c * PILOT_UNIT + d * PILOT_UNIT));
    keys[thread] = vec2(
        min(min(least(key(e.a), ka.summed), least(key(e.b), kb.summed)), min(least(key(e.c), kc.summed), least(key(e.d), kd.summed))),
        max(max(most(key(e.a), ka.summed), most(key(e.b), kb.summed)), max(most(key(e.c), kc.summed), most(key(e.d), kd.summed))),
    );
    counts[thread] = vec2(finite | (zeros << 16u), nan | (inf << 16u));
    workgroupBarrier();
    if thread < 16u {
        float_parts[0][thread] = sum_of_16(0u, thread);
    } else if thread < 32u {
        let lane = thread - 16u;
        var found = keys[lane];
        for (var i = lane + 16u; i < 256u; i += 16u) {
            found = vec2(min(found.x, keys[i].x), max(found.y, keys[i].y));
        }
        key_parts[lane] = found;
    } else if thread < 48u {
        let lane = thread - 32u;
        var found = counts[lane];
        for (var i = lane + 16u; i < 256u; i += 16u) {
            found += counts[i];
        }
        count_parts[lane] = found;
    }
    workgroupBarrier();
    var extremes = key_parts[0];
    var number = count_parts[0];
    for (var i = 1u; i < 16u; i++) {
        extremes = vec2(min(extremes.x, key_parts[i].x), max(extremes.y, key_parts[i].y));
        number += count_parts[i];
    }
    let u = units(sum_of_parts(0u), extremes.x, extremes.y, number.x & 0xffffu);

    let za = select(zero, deviations(e.a, a, u), ka.summed);
    let zb = select(zero, deviations(e.b, b, u), kb.summed);
    let zc = select(zero, deviations(e.c, c, u), kc.summed);
    let zd = select(zero, deviations(e.d, d, u), kd.summed);
    let za2 = za * za;
    let zb2 = zb * zb;
    let zc2 = zc * zc;
    let zd2 = zd * zd;
    // The first reduction's result is read by every thread before this.
    workgroupBarrier();
    floats[0][thread] = total((za + zb) + (zc + zd));
    floats[1][thread] = total((za2 + zb2) + (zc2 + zd2));
    floats[2][thread] = total((za2 * za + zb2 * zb) + (zc2 * zc + zd2 * zd));
    floats[3][thread] = total((za2 * za2 + zb2 * zb2) + (zc2 * zc2 + zd2 * zd2));
    let m = vec4(u.magnitude);
    floats[4][thread] = total((abs(a) * m + abs(b) * m) + (abs(c) * m + abs(d) * m));
    workgroupBarrier();
    if thread < 80u {
        float_parts[thread / 16u][thread % 16u] = sum_of_16(thread / 16u, thread % 16u);
    }
    workgroupBarrier();
    if thread == 0u {
        partials[index] = Partial(
            u.pilot,
            u.exponents,
            sum_of_parts(0u),
            sum_of_parts(1u),
            sum_of_parts(2u),
            sum_of_parts(3u),
            sum_of_parts(4u),
            extremes.x,
            extremes.y,
            number.x & 0xffffu,
            number.y,
            number.x >> 16u,
        );
    }
}
