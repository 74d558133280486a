// What is known of a run of weights when it has been read: sums of powers around a pilot, in units of powers of two.

struct Partial {
    // A value near the mean; where logarithms are summed, a weight whose logarithm is near it.
    pilot: f32,
    // Exponents of the units, biased by 256: of deviations from the pilot in the low half, of magnitudes in the high.
    exponents: u32,
    // Sums of the first four powers of (x - pilot) / unit.
    s1: f32,
    s2: f32,
    s3: f32,
    s4: f32,
    // Sum of |x| / unit.
    l1: f32,
    // Smallest and largest value, ordered; of magnitudes where logarithms are summed.
    low: i32,
    high: i32,
    // Numbers of finite values, of NaN, of inf and of zeros.
    finite: u32,
    nan_inf: u32,
    zeros: u32,
}

// 1: sums are of ln|x|, zeros left out.
override LOGARITHMS: u32 = 0u;

// Scales the sum that the pilot is made of, so that it cannot overflow.
const PILOT_UNIT: f32 = 0.0001220703125; // 2^-13

fn value(key: i32) -> f32 {
    return bitcast<f32>(key ^ ((key >> 31u) & 0x7fffffff));
}

// floor(log2 |x|), at least -126 and at most 126; -126 for 0.
fn exponent(x: f32) -> i32 {
    return clamp(i32((bitcast<u32>(x) & MAGNITUDE) >> 23u) - 127, -126, 126);
}

fn power_of_two(e: i32) -> f32 {
    return bitcast<f32>(u32(e + 127) << 23u);
}

// An exponent and the logarithm of a mantissa in [sqrt(1/2), sqrt(2)).
struct Logarithm {
    exponent: vec4<f32>,
    rest: vec4<f32>,
}

const LN_2: f32 = 0.6931472;

// 2 atanh(s) by its series, for |s| at most 0.172.
fn twice_atanh(s: vec4<f32>) -> vec4<f32> {
    let t = s * s;
    let series = t * (0.33333334 + t * (0.2 + t * (0.14285715 + t * (0.11111111 + t * 0.09090909))));
    return 2.0 * s + 2.0 * s * series;
}

// The logarithms of positive finite values given by their bits: 2 atanh((m - 1) / (m + 1)) of the mantissa m. Subnormals
// are normalised in integers.
fn logarithm(bits: vec4<u32>) -> Logarithm {
    let subnormal = bits < vec4(0x00800000u);
    let lift = countLeadingZeros(bits | vec4(1u)) - vec4(8u);
    let whole = select(bits, bits << lift, subnormal);
    let drop = select(vec4(0u), lift - vec4(1u), subnormal);
    // Once lifted, the leading bit stands where exponent 1 does.
    let offset = whole - vec4(0x3f3504f3u);
    let e = (bitcast<vec4<i32>>(offset) >> vec4(23u)) - bitcast<vec4<i32>>(drop);
    let m = bitcast<vec4<f32>>(whole - (offset & vec4(0xff800000u)));
    return Logarithm(vec4<f32>(e), twice_atanh((m - 1.0) / (m + 1.0)));
}

fn ln(bits: vec4<u32>) -> vec4<f32> {
    let l = logarithm(bits);
    return l.exponent * LN_2 + l.rest;
}

// ln(x / pilot), as good for x close to the pilot as for any other.
fn ln_ratio(bits: vec4<u32>, pilot: f32) -> vec4<f32> {
    let x = bitcast<vec4<f32>>(bits & vec4(MAGNITUDE));
    let off = (x - vec4(pilot)) / pilot;
    let l = logarithm(max(bits & vec4(MAGNITUDE), vec4(1u)));
    let p = logarithm(vec4(bitcast<u32>(pilot)));
    let far = (l.exponent - p.exponent) * LN_2 + (l.rest - p.rest);
    return select(far, twice_atanh(off / (off + 2.0)), abs(off) < vec4(0.25));
}

// The values that are summed, of weights that are finite.
fn transformed(bits: vec4<u32>) -> vec4<f32> {
    if LOGARITHMS == 1u {
        return ln(max(bits & vec4(MAGNITUDE), vec4(1u)));
    }
    return bitcast<vec4<f32>>(bits);
}

// The same of an extreme.
fn transformed_extreme(key: i32) -> f32 {
    if LOGARITHMS == 1u {
        return ln(vec4(u32(max(key, 1)))).x;
    }
    return value(key);
}

struct Units {
    // A value near the mean; where logarithms are summed, a weight whose logarithm is near it.
    pilot: f32,
    // Multiply by these.
    deviation: f32,
    magnitude: f32,
    exponents: u32,
}

// The pilot and the units, from the scaled sum of `finite` values between `low` and `high`.
fn units(sum: f32, low: i32, high: i32, finite: u32) -> Units {
    let least = transformed_extreme(low);
    let most = transformed_extreme(high);
    let mean = clamp(sum / f32(max(finite, 1u)) / PILOT_UNIT, least, most);
    var pilot = mean;
    var largest = max(most - mean, mean - least);
    if LOGARITHMS == 1u {
        // Between the extremes, however near each other they are; and a normal number.
        pilot = max(clamp(exp(mean), bitcast<f32>(low), bitcast<f32>(high)), 1.1754944e-38);
        let ends = abs(ln_ratio(vec4(u32(max(low, 1)), u32(max(high, 1)), 1u, 1u), pilot));
        largest = max(ends.x, ends.y);
    }
    let d = exponent(largest);
    let m = exponent(max(abs(most), abs(least)));
    return Units(pilot, power_of_two(-d), power_of_two(-m), u32(d + 256) | (u32(m + 256) << 16u));
}

// Deviations from the pilot in their unit, of values `x` whose weights are `bits`.
fn deviations(bits: vec4<u32>, x: vec4<f32>, u: Units) -> vec4<f32> {
    if LOGARITHMS == 1u {
        return ln_ratio(bits, u.pilot) * u.deviation;
    }
    // Both are scaled before they are subtracted: their difference may leave f32, its quotient cannot.
    return x * u.deviation - vec4(u.pilot * u.deviation);
}
