// The moments of runs of weights that lie side by side, a workgroup for each tile of up to 8192 elements.
//
// A tile lies within 8192 elements counted from the vector that it starts in, so that its loads are whole and aligned
// vectors; elements outside it are masked. All of it stays in registers, 32 elements a thread, while the workgroup finds first
// its extremes and mean and then the sums of powers around that mean. A thread whose elements are all inside and finite, which
// its own extremes tell, does without masks: five operations a weight to the mean, ten for the sums.

struct Tile {
    // First element, from the start of the data.
    start: u32,
    length: u32,
}

@group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> tiles: array<Tile>;
@group(0) @binding(2) var<storage, read_write> partials: array<Partial>;

const THREADS: u32 = 256u;

// Half of what a workgroup reads.
const HALF: u32 = 4096u;

// Sixteen elements as f32 bits, and where the first of each vector is from the start of the tile.
struct Elements {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
    at: vec4<u32>,
    // From one component to the next.
    step: u32,
}

// Those of a thread from element `first` of the data on, the first of a vector.
fn load(first: u32, start: u32, thread: u32) -> Elements {
    var e: Elements;
    switch FORMAT {
        case F32: {
            let v = first / 4u + thread;
            e.a = vector(v);
            e.b = vector(v + THREADS);
            e.c = vector(v + 2u * THREADS);
            e.d = vector(v + 3u * THREADS);
            e.at = vec4(first + 4u * thread - start) + vec4(0u, 4u, 8u, 12u) * vec4(THREADS);
            e.step = 1u;
        }
        case F16, BF16: {
            let v = first / 8u + thread;
            let x = vector(v);
            let y = vector(v + THREADS);
            e.a = decode(x & vec4(0xffffu));
            e.b = decode(x >> vec4(16u));
            e.c = decode(y & vec4(0xffffu));
            e.d = decode(y >> vec4(16u));
            e.at = vec4(first + 8u * thread - start) + vec4(0u, 1u, 8u * THREADS, 8u * THREADS + 1u);
            e.step = 2u;
        }
        default: {
            let x = vector(first / 16u + thread);
            e.a = decode(x & vec4(0xffu));
            e.b = decode((x >> vec4(8u)) & vec4(0xffu));
            e.c = decode((x >> vec4(16u)) & vec4(0xffu));
            e.d = decode(x >> vec4(24u));
            e.at = vec4(first + 16u * thread - start) + vec4(0u, 1u, 2u, 3u);
            e.step = 4u;
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

// Of a vector whose first element is `at` from the start of the tile.
fn kinds(bits: vec4<u32>, at: u32, step: u32, length: u32) -> Kinds {
    let inside = vec4(at) + vec4(0u, 1u, 2u, 3u) * vec4(step) < vec4(length);
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

// What a thread knows of its elements before the mean is known.
struct First {
    // Whether all of them are summed.
    all: bool,
    // In units of 1 / PILOT_UNIT.
    sum: f32,
    low: i32,
    high: i32,
    finite: u32,
    nan_inf: u32,
    zeros: u32,
}

fn largest_of(v: vec4<u32>) -> u32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

fn smallest_of(v: vec4<u32>) -> u32 {
    return min(min(v.x, v.y), min(v.z, v.w));
}

// The key of the value that has these bits.
fn key_of_bits(bits: u32) -> i32 {
    return ordered(vec4(bits)).x;
}

fn first_of(e: Elements, length: u32) -> First {
    // Elements follow each other: the last of them is the last of the last vector.
    let end = e.at.w + 3u * e.step;
    if LOGARITHMS == 0u && e.at.x <= end && end < length {
        // Of negative numbers the largest bits are the smallest, of others the smallest.
        let most = largest_of(max(max(e.a, e.b), max(e.c, e.d)));
        let least = smallest_of(min(min(e.a, e.b), min(e.c, e.d)));
        let a = bitcast<vec4<i32>>(e.a);
        let b = bitcast<vec4<i32>>(e.b);
        let c = bitcast<vec4<i32>>(e.c);
        let d = bitcast<vec4<i32>>(e.d);
        let signed_most = max(max(a, b), max(c, d));
        let signed_least = min(min(a, b), min(c, d));
        let top = max(max(signed_most.x, signed_most.y), max(signed_most.z, signed_most.w));
        let bottom = min(min(signed_least.x, signed_least.y), min(signed_least.z, signed_least.w));
        // No magnitude is beyond those of the largest positive number and the largest negative one.
        if max(u32(max(top, 0)), select(0u, most & MAGNITUDE, most > MAGNITUDE)) < INFINITY {
            let low = key_of_bits(select(least, most, most > MAGNITUDE));
            let high = key_of_bits(select(least, u32(top), top >= 0));
            var zeros = 0u;
            if least == 0u || bottom == i32(-0x80000000) {
                let none = vec4(0u);
                let m = vec4(MAGNITUDE);
                let zero_a = ones((e.a & m) == none) + ones((e.b & m) == none);
                let zero_c = ones((e.c & m) == none) + ones((e.d & m) == none);
                zeros = total_count(zero_a + zero_c);
            }
            let sum = total((bitcast<vec4<f32>>(e.a) + bitcast<vec4<f32>>(e.b)) + (bitcast<vec4<f32>>(e.c) + bitcast<vec4<f32>>(e.d)));
            return First(true, sum * PILOT_UNIT, low, high, 16u, 0u, zeros);
        }
    }
    let ka = kinds(e.a, e.at.x, e.step, length);
    let kb = kinds(e.b, e.at.y, e.step, length);
    let kc = kinds(e.c, e.at.z, e.step, length);
    let kd = kinds(e.d, e.at.w, e.step, length);
    let a = values(e.a, ka.summed);
    let b = values(e.b, kb.summed);
    let c = values(e.c, kc.summed);
    let d = values(e.d, kd.summed);
    let finite = total_count((ones(ka.summed) + ones(kb.summed)) + (ones(kc.summed) + ones(kd.summed)));
    let nan = total_count((ka.nan + kb.nan) + (kc.nan + kd.nan));
    let inf = total_count((ka.inf + kb.inf) + (kc.inf + kd.inf));
    let zeros = total_count((ka.zero + kb.zero) + (kc.zero + kd.zero));
    let sum = total((a * PILOT_UNIT + b * PILOT_UNIT) + (c * PILOT_UNIT + d * PILOT_UNIT));
    let low = min(
        min(least(key(e.a), ka.summed), least(key(e.b), kb.summed)),
        min(least(key(e.c), kc.summed), least(key(e.d), kd.summed)),
    );
    let high = max(
        max(most(key(e.a), ka.summed), most(key(e.b), kb.summed)),
        max(most(key(e.c), kc.summed), most(key(e.d), kd.summed)),
    );
    return First(false, sum, low, high, finite, nan | (inf << 16u), zeros);
}

// The values of those that are summed, and 0.
fn values(bits: vec4<u32>, summed: vec4<bool>) -> vec4<f32> {
    return select(vec4(0.0), transformed(select(vec4(1u), bits, summed)), summed);
}

// Sums of the powers of deviations in their unit, and of magnitudes.
struct Sums {
    s1: f32,
    s2: f32,
    s3: f32,
    s4: f32,
    l1: f32,
}

fn sums_of(e: Elements, all: bool, length: u32, u: Units) -> Sums {
    var a = bitcast<vec4<f32>>(e.a);
    var b = bitcast<vec4<f32>>(e.b);
    var c = bitcast<vec4<f32>>(e.c);
    var d = bitcast<vec4<f32>>(e.d);
    var za: vec4<f32>;
    var zb: vec4<f32>;
    var zc: vec4<f32>;
    var zd: vec4<f32>;
    if all {
        za = deviations(e.a, a, u);
        zb = deviations(e.b, b, u);
        zc = deviations(e.c, c, u);
        zd = deviations(e.d, d, u);
    } else {
        let ka = kinds(e.a, e.at.x, e.step, length).summed;
        let kb = kinds(e.b, e.at.y, e.step, length).summed;
        let kc = kinds(e.c, e.at.z, e.step, length).summed;
        let kd = kinds(e.d, e.at.w, e.step, length).summed;
        a = values(e.a, ka);
        b = values(e.b, kb);
        c = values(e.c, kc);
        d = values(e.d, kd);
        za = select(vec4(0.0), deviations(e.a, a, u), ka);
        zb = select(vec4(0.0), deviations(e.b, b, u), kb);
        zc = select(vec4(0.0), deviations(e.c, c, u), kc);
        zd = select(vec4(0.0), deviations(e.d, d, u), kd);
    }
    let za2 = za * za;
    let zb2 = zb * zb;
    let zc2 = zc * zc;
    let zd2 = zd * zd;
    // Sixteen magnitudes are far from overflowing where results are relied on.
    return Sums(
        total((za + zb) + (zc + zd)),
        total((za2 + zb2) + (zc2 + zd2)),
        total((za2 * za + zb2 * zb) + (zc2 * zc + zd2 * zd)),
        total((za2 * za2 + zb2 * zb2) + (zc2 * zc2 + zd2 * zd2)),
        total((abs(a) + abs(b)) + (abs(c) + abs(d))) * u.magnitude,
    );
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
    let each = 4u << elements_log2();
    let first = tile.start / each * each;
    // A short tile has no second half.
    let both = tile.start + tile.length > first + HALF;
    let e = load(first, tile.start, thread);
    var f: Elements;
    let of_e = first_of(e, tile.length);
    var of_f = First(true, 0.0, 0x7fffffff, -0x7fffffff, 0u, 0u, 0u);
    if both {
        f = load(first + HALF, tile.start, thread);
        of_f = first_of(f, tile.length);
    }
    floats[0][thread] = of_e.sum + of_f.sum;
    keys[thread] = vec2(min(of_e.low, of_f.low), max(of_e.high, of_f.high));
    counts[thread] = vec2((of_e.finite + of_f.finite) | ((of_e.zeros + of_f.zeros) << 16u), of_e.nan_inf + of_f.nan_inf);
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

    let in_e = sums_of(e, of_e.all, tile.length, u);
    var in_f = Sums(0.0, 0.0, 0.0, 0.0, 0.0);
    if both {
        in_f = sums_of(f, of_f.all, tile.length, u);
    }
    // The first reduction's result is read by every thread before this.
    workgroupBarrier();
    floats[0][thread] = in_e.s1 + in_f.s1;
    floats[1][thread] = in_e.s2 + in_f.s2;
    floats[2][thread] = in_e.s3 + in_f.s3;
    floats[3][thread] = in_e.s4 + in_f.s4;
    floats[4][thread] = in_e.l1 + in_f.l1;
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
