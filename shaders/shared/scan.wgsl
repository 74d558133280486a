// A sum over the threads of a workgroup up to each of them.

var<workgroup> scanned: array<u32, 256>;

// The sum of `number` over the threads up to this one, itself included, in steps that double. Every thread has to call it.
fn inclusive_sum(thread: u32, number: u32) -> u32 {
    scanned[thread] = number;
    workgroupBarrier();
    for (var step = 1u; step < 256u; step *= 2u) {
        var sum = scanned[thread];
        if thread >= step {
            sum += scanned[thread - step];
        }
        workgroupBarrier();
        scanned[thread] = sum;
        workgroupBarrier();
    }
    return scanned[thread];
}
