// Weights as the bits of an f32, by integer operations alone: an implementation may flush subnormals and assume that
// there is no NaN, so nothing about a value's kind is left to floating arithmetic.

// Which format the data is in; a pipeline is made for one.
override FORMAT: u32 = 1u;

const F32: u32 = 1u;
const F16: u32 = 2u;
const BF16: u32 = 3u;
const E4M3: u32 = 4u;
const E5M2: u32 = 5u;

const MAGNITUDE: u32 = 0x7fffffffu;
const INFINITY: u32 = 0x7f800000u;

// log2 of the elements in a word of 32 bits.
fn elements_log2() -> u32 {
    return select(select(2u, 1u, FORMAT <= BF16), 0u, FORMAT == F32);
}

// A small float of `mantissa_bits` bits of mantissa and an exponent biased by `bias`, as f32 bits. `top` is the largest
// exponent where it stands for inf and NaN, else beyond reach.
fn widen(magnitude: vec4<u32>, mantissa_bits: u32, bias: u32, top: u32) -> vec4<u32> {
    let exponent = magnitude >> vec4(mantissa_bits);
    let mantissa = magnitude & vec4((1u << mantissa_bits) - 1u);
    let normal = (magnitude << vec4(23u - mantissa_bits)) + vec4((127u - bias) << 23u);
    // An integer times a power of two: a normal f32, since the mantissa is at least 1 or the product is 0.
    let unit = bitcast<f32>((128u - bias - mantissa_bits) << 23u);
    let subnormal = bitcast<vec4<u32>>(vec4<f32>(mantissa) * unit);
    let special = vec4(INFINITY) | (mantissa << vec4(23u - mantissa_bits));
    return select(select(normal, subnormal, exponent == vec4(0u)), special, exponent >= vec4(top));
}

// Raw elements, one in the low bits of each component, as f32 bits.
fn decode(raw: vec4<u32>) -> vec4<u32> {
    switch FORMAT {
        case F16: {
            return ((raw & vec4(0x8000u)) << vec4(16u)) | widen(raw & vec4(0x7fffu), 10u, 15u, 31u);
        }
        case BF16: {
            return raw << vec4(16u);
        }
        case E4M3: {
            let magnitude = raw & vec4(0x7fu);
            let value = select(widen(magnitude, 3u, 7u, 16u), vec4(0x7fc00000u), magnitude == vec4(0x7fu));
            return ((raw & vec4(0x80u)) << vec4(24u)) | value;
        }
        case E5M2: {
            return ((raw & vec4(0x80u)) << vec4(24u)) | widen(raw & vec4(0x7fu), 2u, 15u, 31u);
        }
        default: {
            return raw;
        }
    }
}

// Bits turned so that they compare, as i32, as the values do.
fn ordered(bits: vec4<u32>) -> vec4<i32> {
    let s = bitcast<vec4<i32>>(bits);
    return s ^ ((s >> vec4(31u)) & vec4(0x7fffffff));
}
