// Ties before each tile, counted from the first; and how many of its ties each cut may cut, which its budget then lacks.
// One workgroup: reduce, then scan, without waiting for another one.

@group(0) @binding(0) var<storage, read> cuts: array<Cut>;
@group(0) @binding(1) var<storage, read_write> ties: array<u32>;
@group(0) @binding(2) var<storage, read_write> allowed: array<u32>;
// 64 bits each, the lower half first. All ones: every tie, for ever.
@group(0) @binding(3) var<storage, read_write> budgets: array<vec2<u32>>;

var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
    // The last entry is no tile: it becomes the sum of all.
    let count = arrayLength(&ties);
    let each = (count + 255u) / 256u;
    let first = min(thread * each, count);
    let last = min(first + each, count);
    var sum = 0u;
    for (var i = first; i < last; i++) {
        sum += ties[i];
    }
    sums[thread] = sum;
    workgroupBarrier();
    if thread == 0u {
        var before = 0u;
        for (var i = 0u; i < 256u; i++) {
            let here = sums[i];
            sums[i] = before;
            before += here;
        }
    }
    workgroupBarrier();
    var before = sums[thread];
    for (var i = first; i < last; i++) {
        let here = ties[i];
        ties[i] = before;
        before += here;
    }
    storageBarrier();
    workgroupBarrier();
    if thread == 0u {
        for (var i = 0u; i < arrayLength(&cuts); i++) {
            let cut = cuts[i];
            let total = ties[cut.first_tile + cut.tiles] - ties[cut.first_tile];
            let budget = budgets[cut.budget];
            let endless = all(budget == vec2(0xffffffffu));
            let granted = select(min(total, budget.x), total, budget.y > 0u);
            allowed[i] = granted;
            if !endless {
                budgets[cut.budget] = vec2(budget.x - granted, budget.y - u32(budget.x < granted));
            }
        }
    }
}
