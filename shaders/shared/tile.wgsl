// Tiles of weights under a mask, and what is cut of a tensor.

// 256 threads, each of which makes a word of the mask.
const TILE: u32 = 8192u;

struct Tile {
    // First element, from the start of the data: on a whole word.
    start: u32,
    // Elements: at most TILE.
    length: u32,
    // First word of its mask.
    mask: u32,
    // Which cut it belongs to.
    cut: u32,
    // Its place among all tiles.
    index: u32,
}

struct Cut {
    // Magnitudes from this one on are cut,
    start: u32,
    // so many of them.
    span: u32,
    // Of this magnitude, the first ones are cut, as many as the budget of this index has.
    tie: u32,
    budget: u32,
    // Its tiles.
    first_tile: u32,
    tiles: u32,
}
