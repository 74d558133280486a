// The digit in which each pick's rank lies, a workgroup for each: counts are summed, then searched, and are zero afterwards.
// After the last digit the pick is a key, and what it is for is told where it cuts.

@group(0) @binding(0) var<storage, read_write> picks: array<Pick>;
// The ranks, from 1 on, in 64 bits; 0 for no weight.
@group(0) @binding(1) var<storage, read> asked: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;
@group(0) @binding(3) var<storage, read_write> cuts: array<Cut>;
// 64 bits each, the lower half first.
@group(0) @binding(4) var<storage, read_write> budgets: array<vec2<u32>>;

// 1: it is the last digit, and picks cut.
override CUTS: u32 = 0u;

// Counts that a thread looks through.
const EACH: u32 = 8u;

var<workgroup> sums: array<vec2<u32>, 256>;
var<workgroup> digit: u32;
var<workgroup> rest: vec2<u32>;
var<workgroup> found: u32;

fn add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2(low, a.y + b.y + u32(low < a.x));
}

fn subtract(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}

fn less(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = workgroup.x + workgroup.y * workgroups.x;
    if index >= arrayLength(&picks) {
        return;
    }
    let pick = picks[index];
    let rank = select(vec2(pick.low, pick.high), asked[index], FIRST == 1u);
    let wanted = any(rank != vec2(0u)) && (FIRST == 1u || pick.found == 1u);
    let table = index * 2u * DIGITS + thread * EACH;
    var mine: array<vec2<u32>, 8>;
    var sum = vec2(0u);
    for (var i = 0u; i < EACH; i++) {
        mine[i] = vec2(counts[table + i], counts[table + DIGITS + i]);
        sum = add(sum, mine[i]);
        counts[table + i] = 0u;
        counts[table + DIGITS + i] = 0u;
    }
    sums[thread] = sum;
    if thread == 0u {
        found = 0u;
        digit = 0u;
        rest = vec2(0u);
    }
    workgroupBarrier();
    if thread == 0u {
        var before = vec2(0u);
        for (var i = 0u; i < 256u; i++) {
            let here = sums[i];
            sums[i] = before;
            before = add(before, here);
        }
    }
    workgroupBarrier();
    var before = sums[thread];
    if wanted && less(before, rank) && !less(add(before, sum), rank) {
        // It is among these.
        for (var i = 0u; i < EACH; i++) {
            let after = add(before, mine[i]);
            if less(before, rank) && !less(after, rank) {
                digit = thread * EACH + i;
                rest = subtract(rank, before);
                found = 1u;
            }
            before = after;
        }
    }
    workgroupBarrier();
    let key = select(pick.key, 0u, FIRST == 1u) | (digit << SHIFT);
    if thread == 0u {
        picks[index] = Pick(key, rest.x, rest.y, found, pick.first_cut, pick.cuts, pick.budget, 0u);
    }
    if CUTS == 1u {
        // Nothing where nothing is asked for; all but NaN where NaN is reached.
        var start = 0u;
        var span = 0u;
        var tie = 0xffffffffu;
        var budget = vec2(0u);
        if found == 1u {
            if key > largest() {
                span = largest() + 1u;
            } else {
                span = key;
                tie = select(key, largest() - key, ORDER == 1u);
                start = select(0u, tie + 1u, ORDER == 1u);
                budget = rest;
            }
        }
        if thread == 0u {
            budgets[pick.budget] = budget;
        }
        for (var i = thread; i < pick.cuts; i += 256u) {
            let cut = cuts[pick.first_cut + i];
            cuts[pick.first_cut + i] = Cut(start, span, tie, cut.budget, cut.first_tile, cut.tiles);
        }
    }
}
