// Selection of order statistics, digit by digit: what weights are ranked by, and how far each pick has come.

// 0: by magnitude, upwards. 1: by magnitude, downwards. NaN comes last in both. 2: finite values, upwards.
override ORDER: u32 = 0u;
// 1: magnitudes are ranked as those of f32, for weights of several formats.
override WIDE: u32 = 0u;
// The digit: bits from this one on, so many.
override SHIFT: u32 = 0u;
override BITS: u32 = 11u;
// 1: it is the first one.
override FIRST: u32 = 1u;

// Values of the widest digit.
const DIGITS: u32 = 2048u;

struct Pick {
    // The digits found so far, in their places.
    key: u32,
    // The rank that is looked for among the weights that share them, counted from 1, in 64 bits.
    low: u32,
    high: u32,
    // 1: there is such a weight.
    found: u32,
    // The cuts that are made at it, and the budget of its ties.
    first_cut: u32,
    cuts: u32,
    budget: u32,
    unused: u32,
}

// The largest magnitude that is no NaN.
fn largest() -> u32 {
    if WIDE == 1u {
        return INFINITY;
    }
    switch FORMAT {
        case F16: { return 0x7c00u; }
        case BF16: { return 0x7f80u; }
        case E4M3: { return 0x7eu; }
        case E5M2: { return 0x7cu; }
        default: { return INFINITY; }
    }
}
