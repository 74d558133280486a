//! Every kernel, on both engines, beside what the machine can do at all: the cases of `secateur bench`, under criterion.
//!
//! `cargo bench --bench kernels`, with `-- moments` or another part of a name for some of them. A hardware GPU is measured where
//! there is one; SECATEUR_ADAPTER names one, a software adapter, too. SECATEUR_BENCH_MIB says how large weights are. Every
//! answer is checked before it is timed; ceilings are measured in the same run, and it is the ratio to them that counts.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use secateur::bench::{Case, Options};

fn options() -> Options {
    let mib = std::env::var("SECATEUR_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(256);
    Options {
        sizes: vec![mib << 20],
        #[cfg(feature = "gpu")]
        gpu: gpu(),
        ..Options::default()
    }
}

#[cfg(feature = "gpu")]
fn gpu() -> Option<secateur::gpu::AdapterChoice> {
    use secateur::gpu::AdapterChoice;
    std::env::var("SECATEUR_ADAPTER").map_or_else(|_| AdapterChoice::hardware(), |name| Some(name.as_str().into()))
}

fn bench_case(group: &mut BenchmarkGroup<WallTime>, case: &mut Case) {
    let name = format!("{} {} {}", case.engine, case.kernel, case.of);
    group.throughput(Throughput::BytesDecimal(case.bytes));
    group.bench_function(name, |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                case.prepare().expect("it did before");
                let start = Instant::now();
                black_box(case.run().expect("it ran before"));
                total += start.elapsed();
            }
            total
        });
    });
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("weights");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    let done = options().cases(&mut |case| {
        bench_case(&mut group, case);
        Ok(())
    });
    done.expect("every answer is right");
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
