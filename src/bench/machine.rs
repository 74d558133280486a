//! Which machine the numbers are of.

use serde::Serialize;

use super::Options;
use crate::{Engine, Result};

/// The machine that is measured.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name, where the operating system tells.
    pub processor: Option<String>,
    /// Instruction set and threads of the CPU engine.
    pub cpu: String,
    /// The GPU that is measured and how it is reached.
    pub gpu: Option<String>,
    /// The operating system.
    pub system: &'static str,
}

impl Machine {
    /// This machine, as `options` use it.
    ///
    /// # Errors
    /// Where there are no threads, or no such GPU.
    pub fn new(options: &Options) -> Result<Self> {
        let cpu = Engine::cpu(options.threads)?.info(&[]).name;
        #[cfg(feature = "gpu")]
        let gpu = match &options.gpu {
            None => None,
            Some(choice) => {
                let info = crate::gpu::Gpu::open(choice)?.device().adapter_info();
                let driver = format!("{} {}", info.driver, info.driver_info);
                Some(format!("{} ({:?}, {})", info.name, info.backend, driver.trim()))
            }
        };
        #[cfg(not(feature = "gpu"))]
        let gpu = None;
        Ok(Self { processor: processor(), cpu, gpu, system: std::env::consts::OS })
    }
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
