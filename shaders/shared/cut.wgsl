// Magnitudes of weights that are cut.

// 1: magnitudes are compared as those of f32, for weights of several formats.
override WIDE: u32 = 0u;

// The magnitude of element i as bits: integers that order as magnitudes do.
fn magnitude(i: u32) -> u32 {
    let log2 = elements_log2();
    let bits = 32u >> log2;
    let word = data[i >> log2] >> ((i & ((1u << log2) - 1u)) * bits);
    let own = word & (0xffffffffu >> (33u - bits));
    if WIDE == 1u {
        return decode(vec4(own)).x;
    }
    return own;
}

// The magnitude of an element of a word, `shift` bits from its end.
fn magnitude_in(word: u32, shift: u32) -> u32 {
    let own = (word >> shift) & (0x7fffffffu >> (32u - (32u >> elements_log2())));
    if WIDE == 1u {
        return decode(vec4(own)).x;
    }
    return own;
}

// Elements of the word that a thread makes.
fn elements_of(tile: Tile, thread: u32) -> u32 {
    let first = thread * 32u;
    return select(0u, min(tile.length - first, 32u), first < tile.length);
}
