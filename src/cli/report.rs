//! `secateur report`.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use secateur::checkpoint::{Checkpoint, Live};
use secateur::report::{Figure, Model, Subject, format_bytes};
use secateur::search::Recorded;
use secateur::survey::{Options, Survey, survey};
use secateur::{Engine, Error, Progress, Result, prune};

use super::common::Shared;
use super::note;
use super::output::{Output, sync_folder};
use super::progress::Bar;

/// Pixels of a PNG for each of an SVG: sharp on any screen and in print.
const SCALE: f32 = 2.0;

/// One page that shows a model, what pruning did to it, or a search.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secateur report model.safetensors -o report.html
  secateur report model.safetensors half.safetensors -o before-after.html
  secateur report --journal search/ -o search.html
  secateur report ./Llama-3.1-8B --only '*.mlp.*' --format png -o figures

The page is one file that needs nothing else, no network either. Everything on it comes from one read of each model: the \
statistics of `secateur stats`, how often each value occurs (exactly for weights of 8 and 16 bits, by their upper 16 bits \
for wider ones), and the variance and norm of every output channel.")]
pub(crate) struct Report {
    /// A model, as `secateur stats` takes it; the one before, where there are two
    #[arg(value_name = "MODEL", required_unless_present = "journal")]
    model: Option<PathBuf>,
    /// The model after: pruned, trained, or otherwise changed
    #[arg(value_name = "OTHER")]
    other: Option<PathBuf>,
    /// A search's journal: its curve, its rounds, and what it chose
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// The page, a .html file; or, for pictures, a new folder [default for the page: stdout, where that is no terminal]
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
    /// html: a page; svg or png: the single pictures of the page, and those of every tensor
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Html,
    Svg,
    Png,
}

impl Report {
    pub(crate) fn run(self, quiet: bool) -> Result<()> {
        self.check()?;
        let journal = self.journal.as_deref().map(Recorded::read).transpose()?;
        let paths: Vec<&Path> = [&self.model, &self.other].into_iter().flatten().map(PathBuf::as_path).collect();
        let models: Vec<Checkpoint> = paths.iter().map(Checkpoint::open).collect::<Result<_>>()?;
        let selection = self.shared.selection()?;
        models.iter().try_for_each(|model| self.shared.check_chosen(model, &selection))?;
        // Before the work, so that nobody waits for a page that cannot be written.
        let inputs: Vec<&Path> = models.iter().flat_map(Checkpoint::files).collect();
        let mut target = Target::new(self.format, self.output.as_deref(), &inputs)?;

        let engine = self.shared.engine()?;
        let options = Options { selection, memory_bytes: self.shared.memory };
        let (bar, progress) = (Bar::new(quiet), Progress::default());
        let surveys = bar.watch(&progress, || {
            models.iter().map(|model| survey(model, &engine, &options, &progress)).collect::<Result<Vec<Survey>>>()
        });
        let mut surveys = surveys?;
        let said = said(&surveys);
        let described = paths.iter().zip(&models).zip(&mut surveys);
        let mut described = described.map(|((path, model), survey)| self.describe(path, model, &engine, survey));
        let (model, other) = (described.next().transpose()?, described.next().transpose()?);
        drop(described);
        target.fill(self.format, Subject { model, other, journal })?;
        let done = target.finish()?;
        if !quiet && let Some(done) = done {
            note(&format!("{done}{said}"));
        }
        Ok(())
    }

    /// What is asked for where it means nothing.
    fn check(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::Usage(message.to_owned()));
        match (self.format, &self.output) {
            (Format::Html, None) if io::stdout().is_terminal() => {
                wrong("a page is nothing for a terminal: add -o report.html")
            }
            (Format::Svg | Format::Png, None) => wrong("pictures go to a folder: add -o figures"),
            (Format::Png, _) if cfg!(not(feature = "png")) => {
                wrong("this binary was built without PNG: build it with the cargo feature `png`, or take --format svg")
            }
            _ => Ok(()),
        }
    }

    fn describe<'s>(
        &self,
        path: &Path,
        model: &Checkpoint,
        engine: &Engine,
        survey: &'s mut Survey,
    ) -> Result<Model<'s>> {
        let mut file_bytes = 0;
        for file in model.files() {
            file_bytes += fs::metadata(file).map_err(|error| Error::io(file, error))?.len();
        }
        let (selection, named) = (self.shared.selection()?, self.shared.named());
        let tensors = || survey.tensors.iter().filter_map(|tensor| model.get(&tensor.entry.name));
        let left_out = tensors().map(|tensor| prune::left_out(tensor, &selection, named)).collect();
        let dtypes: Vec<_> = tensors().map(secateur::Tensor::dtype).collect();
        // A folder given as `.` has a name, too.
        let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = whole.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Model { name, survey, file_bytes, engine: engine.info(&dtypes), left_out })
    }
}

/// `: 148 tensors, 42.0 MB read in 0.35 s`, and so on for each model.
fn said(surveys: &[Survey]) -> String {
    let of = |survey: &Survey| {
        let (tensors, bytes) = (survey.tensors.len(), format_bytes(survey.bytes));
        format!("{tensors} tensors, {bytes} read in {:.2} s", survey.seconds)
    };
    let all: Vec<String> = surveys.iter().map(of).collect();
    if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) }
}

/// Where the report goes: whole or not at all.
enum Target {
    Page(Output, Option<PathBuf>),
    Folder { made: tempfile::TempDir, live: Live, path: PathBuf, pictures: u64 },
}

impl Target {
    fn new(format: Format, out: Option<&Path>, inputs: &[&Path]) -> Result<Self> {
        let refuse = |out: &Path, message: &str| Err(Error::Usage(format!("-o {}: {message}", out.display())));
        match (format, out) {
            (Format::Html, None) => Ok(Self::Page(Output::stdout(), None)),
            (Format::Html, Some(out)) => {
                let extension = out.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
                if !["html", "htm"].iter().any(|html| extension.eq_ignore_ascii_case(html)) {
                    // Whatever else it replaced would be no page.
                    return refuse(
                        out,
                        "a page is a .html file: name it so (pictures: --format svg or png, -o FOLDER)",
                    );
                }
                Ok(Self::Page(Output::file(out, inputs.iter().copied())?, Some(out.to_owned())))
            }
            (_, Some(out)) => {
                let is_link = fs::symlink_metadata(out).is_ok_and(|found| found.is_symlink());
                if is_link || out.file_name().is_none() {
                    return refuse(out, "this cannot be replaced by a folder: name a new one");
                }
                match fs::read_dir(out).map(|mut present| present.next().is_some()) {
                    Ok(true) => {
                        return refuse(out, "this folder is not empty: name a new one");
                    }
                    Ok(false) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                        return refuse(out, "pictures go to a folder, and this is a file: name a new folder");
                    }
                    Err(error) => return Err(Error::io(out, error)),
                }
                let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let mut builder = tempfile::Builder::new();
                builder.prefix(".secateur-");
                #[cfg(unix)]
                builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
                let made = Live::make(|| builder.tempdir_in(parent), tempfile::TempDir::path);
                let (made, live) = made.map_err(|error| Error::io(out, error))?;
                Ok(Self::Folder { made, live, path: out.to_owned(), pictures: 0 })
            }
            (_, None) => Err(Error::Usage("pictures go to a folder: add -o figures".to_owned())),
        }
    }

    fn fill(&mut self, format: Format, mut subject: Subject) -> Result<()> {
        match self {
            Self::Page(output, _) => {
                let page = subject.html()?;
                let path = output.path();
                let written = output.writer().write_all(page.as_bytes());
                written.map_err(|error| Error::io(path, error))
            }
            Self::Folder { made, pictures, .. } => subject.figures(&mut |figure| {
                let extension = if format == Format::Svg { "svg" } else { "png" };
                let path = made.path().join(format!("{}.{extension}", figure.name));
                let contents = if format == Format::Svg { figure.svg.into_bytes() } else { png(&figure)? };
                let folder = path.parent().unwrap_or(made.path());
                *pictures += 1;
                fs::create_dir_all(folder)
                    .and_then(|()| write(&path, &contents))
                    .map_err(|error| Error::io(&path, error))
            }),
        }
    }

    /// Gives it its name, and says what it is.
    fn finish(self) -> Result<Option<String>> {
        match self {
            Self::Page(output, path) => {
                output.finish(Ok(()))?;
                let Some(path) = path else { return Ok(None) };
                let size = fs::metadata(&path).map_err(|error| Error::io(&path, error))?.len();
                Ok(Some(format!("{}, {}", path.display(), format_bytes(size))))
            }
            Self::Folder { made, live, path, pictures } => {
                let rename = || {
                    // Elsewhere the rename takes the place of an empty folder by itself.
                    if cfg!(windows) && path.exists() {
                        fs::remove_dir(&path)?;
                    }
                    // Its files are synced; so are the names of these, and then its own.
                    sync_folder(&made.path().join("tensors").join("_"))?;
                    sync_folder(&made.path().join("_"))?;
                    fs::rename(made.path(), &path)?;
                    sync_folder(&path)
                };
                live.rename(rename).map_err(|error| Error::io(&path, error))?;
                // What it was is no longer there to be removed.
                let _ = made.keep();
                Ok(Some(format!("{}, {pictures} pictures", path.display())))
            }
        }
    }
}

/// Writes a file that is on the disk when this returns.
fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(feature = "png")]
fn png(figure: &Figure) -> Result<Vec<u8>> {
    figure.png(SCALE)
}

#[cfg(not(feature = "png"))]
fn png(figure: &Figure) -> Result<Vec<u8>> {
    let _ = (figure, SCALE);
    Err(Error::Usage("this binary was built without PNG".to_owned()))
}
