//! The answers that the oracle expects: from any number of threads, and within any memory, the same.

mod oracle;

use std::num::NonZeroUsize;

use secateur::Engine;
use secateur::stats::Options;

/// The tolerance of a CPU.
const TOLERANCE: f64 = 1e-6;

/// Asserts that `engine` answers every case within `tolerance`.
fn agrees(engine: &Engine, tolerance: f64) {
    let cases = oracle::cases();
    assert!(cases.len() >= 17, "tests/data/expected is not complete");
    let wrong: Vec<String> = cases
        .iter()
        .flat_map(|case| {
            let answer = case.answer(engine, Options::DEFAULT_MEMORY_BYTES);
            case.differences(&answer, tolerance).into_iter().map(move |line| format!("{}: {line}", case.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_cpu_agrees_with_the_oracle() {
    agrees(&Engine::cpu(None).expect("threads"), TOLERANCE);
}

/// Past the test harness, which swallows what passing tests print, where there is no GPU.
#[cfg(feature = "gpu")]
#[test]
fn a_gpu_agrees_with_the_oracle() {
    use std::io::Write;

    match Engine::gpu(&secateur::gpu::AdapterChoice::Default, None) {
        Ok(engine) => agrees(&engine, 3e-6),
        Err(e) => {
            assert!(std::env::var_os("SECATEUR_REQUIRE_GPU").is_none(), "SECATEUR_REQUIRE_GPU is set, but {e}");
            writeln!(std::io::stderr(), "skipped: {e} (SECATEUR_REQUIRE_GPU=1 makes this a failure)").expect("stderr");
        }
    }
}

#[test]
fn threads_and_memory_change_nothing() {
    let engine = |threads| Engine::cpu(NonZeroUsize::new(threads)).expect("threads");
    let least = Options::MIN_MEMORY_BYTES;
    let one = engine(1);
    let others = [(2, least), (3, Options::DEFAULT_MEMORY_BYTES), (7, u64::MAX)]
        .map(|(threads, memory)| (engine(threads), memory));
    for case in oracle::cases() {
        let first = case.answer(&one, Options::DEFAULT_MEMORY_BYTES);
        for (other, memory) in &others {
            let again = case.answer(other, *memory);
            assert_eq!(again.0, first.0, "{} with {memory} bytes", case.name);
            assert_eq!(again.1.total, first.1.total, "{} with {memory} bytes", case.name);
        }
    }
}
