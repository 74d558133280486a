//! Which tensors of a model have weights far out in the tails, and which output channels are dead.
//!
//!     cargo run --release --example outliers -- examples/data/cnn.safetensors
//!
//! Quantisation suffers from the first, and the second can be cut for nothing.
#![expect(clippy::print_stdout, reason = "an example that is run from a terminal")]

use secateur::stats::{Grouping, Options, analyse};
use secateur::{Checkpoint, Engine, Progress};

fn main() -> secateur::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "examples/data/cnn.safetensors".to_owned());
    let model = Checkpoint::open(path)?;
    let engine = Engine::auto(None)?;

    // One read of the file: every tensor, with its largest weight in units of its standard deviation.
    let mut tails: Vec<(f64, String)> = Vec::new();
    analyse(&model, &engine, &Options::default(), &Progress::default(), &mut |entry| {
        let found = &entry.statistics;
        if let (Some(largest), Some(variance)) = (found.abs_max, found.variance.filter(|v| *v > 0.0)) {
            tails.push((largest / variance.sqrt(), entry.name));
        }
        Ok(())
    })?;
    tails.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("largest weight in standard deviations:");
    for (sigmas, name) in tails.iter().take(5) {
        println!("{sigmas:8.1}  {name}");
    }

    // And once more, by output channel.
    let options = Options { by: Grouping::Output, ..Options::default() };
    let (mut channels, mut dead) = (0, 0);
    analyse(&model, &engine, &options, &Progress::default(), &mut |entry| {
        if entry.group.is_some() {
            channels += 1;
            dead += u32::from(entry.statistics.l2 == Some(0.0));
        }
        Ok(())
    })?;
    println!("{dead} of {channels} output channels are all zeros");
    Ok(())
}
