// Elements that are not all side by side: element j of a view is element start + j / run * stride + j % run of the data.

struct View {
    // First element, from the start of the data.
    start: u32,
    // Elements in all.
    length: u32,
    // Elements side by side.
    run: u32,
    // Elements from the start of one run to the next.
    stride: u32,
    // Which thresholds or ranks are asked about it.
    group: u32,
}

// 1: keys are magnitudes, and zeros are left out.
override MAGNITUDES: u32 = 0u;

// The raw bits of element `j` of a view.
fn element(view: View, j: u32) -> u32 {
    let index = view.start + j / view.run * view.stride + j % view.run;
    let log2 = elements_log2();
    let width = 32u >> log2;
    let word = data[index >> log2] >> ((index & ((1u << log2) - 1u)) * width);
    return select(word & ((1u << (width & 31u)) - 1u), word, width == 32u);
}

fn sign_bit() -> u32 {
    return 1u << ((32u >> elements_log2()) - 1u);
}

// Magnitudes from here on are not finite.
fn non_finite() -> u32 {
    switch FORMAT {
        case F16: { return 0x7c00u; }
        case BF16: { return 0x7f80u; }
        case E4M3: { return 0x7fu; }
        case E5M2: { return 0x7cu; }
        default: { return INFINITY; }
    }
}

fn is_counted(raw: u32) -> bool {
    let magnitude = raw & (sign_bit() - 1u);
    return magnitude < non_finite() && !(MAGNITUDES == 1u && magnitude == 0u);
}

// Bits turned so that they compare, as u32, as the values do; or the bits of the magnitude.
fn key_of(raw: u32) -> u32 {
    let sign = sign_bit();
    if MAGNITUDES == 1u {
        return raw & (sign - 1u);
    }
    return select(raw | sign, ~raw & (sign | (sign - 1u)), (raw & sign) != 0u);
}
