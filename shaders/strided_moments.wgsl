// The moments of short runs of weights, a thread for each: small groups side by side, or columns of a tile, whose
// neighbours lie in neighbouring threads.

struct Lane {
    // First element, from the start of the data.
    start: u32,
    // At most 128.
    length: u32,
    // Elements from one to the next.
    stride: u32,
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read> lanes: array<Lane>;
@group(0) @binding(2) var<storage, read_write> partials: array<Partial>;

// The raw bits of an element.
fn element(index: u32) -> u32 {
    let log2 = elements_log2();
    let width = 32u >> log2;
    let shift = (index & ((1u << log2) - 1u)) * width;
    let word = data[index >> log2] >> shift;
    return select(word & ((1u << (width & 31u)) - 1u), word, width == 32u);
}

// Four elements from the `i`th on, as f32 bits; those beyond the lane repeat its last.
fn four(lane: Lane, i: u32) -> vec4<u32> {
    let at = min(vec4(i) + vec4(0u, 1u, 2u, 3u), vec4(lane.length - 1u)) * lane.stride + vec4(lane.start);
    return decode(vec4(element(at.x), element(at.y), element(at.z), element(at.w)));
}

fn inside(lane: Lane, i: u32) -> vec4<bool> {
    return vec4(i) + vec4(0u, 1u, 2u, 3u) < vec4(lane.length);
}

fn total(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn number(mask: vec4<bool>) -> u32 {
    let ones = select(vec4(0u), vec4(1u), mask);
    return (ones.x + ones.y) + (ones.z + ones.w);
}

fn summed(bits: vec4<u32>, mask: vec4<bool>) -> vec4<bool> {
    let magnitude = bits & vec4(MAGNITUDE);
    let left_out = (magnitude == vec4(0u)) & vec4(LOGARITHMS == 1u);
    return mask & (magnitude < vec4(INFINITY)) & !left_out;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = (workgroup.x + workgroup.y * workgroups.x) * 256u + thread;
    if index >= arrayLength(&lanes) {
        return;
    }
    let lane = lanes[index];
    var low = 0x7fffffff;
    var high = -0x7fffffff;
    var sum = 0.0;
    var finite = 0u;
    var nan = 0u;
    var inf = 0u;
    var zeros = 0u;
    for (var i = 0u; i < lane.length; i += 4u) {
        let bits = four(lane, i);
        let within = inside(lane, i);
        let magnitude = bits & vec4(MAGNITUDE);
        let keep = summed(bits, within);
        nan += number(within & (magnitude > vec4(INFINITY)));
        inf += number(within & (magnitude == vec4(INFINITY)));
        zeros += number(within & (magnitude == vec4(0u)));
        finite += number(keep);
        var key = ordered(bits);
        if LOGARITHMS == 1u {
            key = bitcast<vec4<i32>>(magnitude);
        }
        let small = select(vec4(0x7fffffff), key, keep);
        let large = select(vec4(-0x7fffffff), key, keep);
        low = min(low, min(min(small.x, small.y), min(small.z, small.w)));
        high = max(high, max(max(large.x, large.y), max(large.z, large.w)));
        sum += total(select(vec4(0.0), transformed(select(vec4(1u), bits, keep)) * PILOT_UNIT, keep));
    }
    let u = units(sum, low, high, finite);
    var s1 = 0.0;
    var s2 = 0.0;
    var s3 = 0.0;
    var s4 = 0.0;
    var l1 = 0.0;
    for (var i = 0u; i < lane.length; i += 4u) {
        let bits = four(lane, i);
        let keep = summed(bits, inside(lane, i));
        let x = select(vec4(0.0), transformed(select(vec4(1u), bits, keep)), keep);
        let z = select(vec4(0.0), deviations(bits, x, u), keep);
        let z2 = z * z;
        s1 += total(z);
        s2 += total(z2);
        s3 += total(z2 * z);
        s4 += total(z2 * z2);
        l1 += total(abs(x) * u.magnitude);
    }
    partials[index] = Partial(u.pilot, u.exponents, s1, s2, s3, s4, l1, low, high, finite, nan | (inf << 16u), zeros);
}
