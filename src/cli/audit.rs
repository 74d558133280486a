//! `secateur audit`.

use std::io;

use clap::{Args, ValueEnum};
use secateur::audit::{Options, Summary, audit};
use secateur::checkpoint::Checkpoint;
use secateur::prune::NofM;
use secateur::report::{AuditJson, audit_table};
use secateur::{Engine, Error, Progress, Result};

use super::common::Common;
use super::complain;
use super::output::{self, Output};
use super::progress::Bar;

/// Zeros, N:M patterns and empty channels of every tensor, and what they would save.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur audit pruned.safetensors
  secateur audit ./Llama-3.1-8B-2of4 --pattern 2:4 --format json

With --pattern, the exit status is 1 where a tensor that `secateur prune` would prune does not satisfy it; one whose \
input axis is no multiple of M is left out. Patterns run along the input axis: axis 1, in ONNX where the operator has it. NaN is not zero. Counting is done \
on the CPU, whatever --engine says.")]
pub(crate) struct Audit {
    /// Fail where an eligible tensor has more than N of every M weights along the input axis that are not zero
    #[arg(long, value_name = "N:M")]
    pattern: Option<NofM>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = AuditFormat::Table)]
    format: AuditFormat,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AuditFormat {
    Table,
    Json,
}

impl Audit {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        let options = Options {
            selection: self.common.selection()?,
            named: self.common.named(),
            pattern: self.pattern,
            memory_bytes: self.common.memory,
            threads: self.common.threads,
        };
        let checkpoint = Checkpoint::open(&self.common.model)?;
        self.common.check_chosen(&checkpoint, &options.selection)?;
        let mut output = Output::stdout();
        let path = output.path();
        let failed = |source: io::Error| Error::io(&path, source);
        let (bar, progress) = (Bar::new(quiet), Progress::default());
        let summary = match self.format {
            AuditFormat::Table => {
                let mut entries = Vec::new();
                let summary = bar.watch(&progress, || {
                    audit(&checkpoint, &options, &progress, &mut |entry| {
                        entries.push(entry);
                        Ok(())
                    })
                })?;
                audit_table(&mut output.writer(), &entries, &summary, output::look()).map_err(failed)?;
                summary
            }
            AuditFormat::Json => {
                let model = self.common.model.display().to_string();
                let engine = Engine::cpu(self.common.threads)?.info(&[]);
                let out = bar.giving_way(output.writer());
                let mut report = AuditJson::begin(out, &model, &engine).map_err(failed)?;
                let summary = bar.watch(&progress, || {
                    audit(&checkpoint, &options, &progress, &mut |entry| report.entry(&entry).map_err(failed))
                })?;
                report.end(&summary).map_err(failed)?;
                summary
            }
        };
        output.finish(Ok(()))?;
        if !quiet && summary.total.tensors == 0 {
            complain("warning", "nothing to audit: there is no floating tensor among those asked for");
        }
        self.judge(&summary, quiet)
    }

    /// An error where the pattern is not satisfied.
    fn judge(&self, summary: &Summary, quiet: bool) -> Result<()> {
        let Some(verdict) = &summary.verdict else { return Ok(()) };
        if verdict.judged == 0 && summary.total.tensors > 0 && !quiet {
            complain("warning", &format!("no tensor is eligible for {}: nothing was judged", verdict.pattern));
        }
        let Some(first) = &verdict.first_failed else { return Ok(()) };
        let others = match verdict.failed - 1 {
            0 => String::new(),
            1 => ", nor does 1 other".to_owned(),
            others => format!(", nor do {others} others"),
        };
        let (pattern, judged) = (verdict.pattern, verdict.judged);
        let message = format!(
            "does not satisfy {pattern}{others} of {judged} judged (secateur prune --pattern {pattern} makes them, \
             --skip leaves them out)"
        );
        Err(Error::tensor(&self.common.model, first, message))
    }
}
