//! A page about a model, about two, or about a search: one HTML file that needs nothing else, or its pictures.

mod blocks;
mod journal;
mod kinds;
mod maps;
mod model;
mod pack;
mod pair;
mod tensors;
mod whole;

use self::blocks::Block;
use self::tensors::{Columns, Data, Detail};
use super::figure::{Figure, safe};
use crate::engine::EngineInfo;
use crate::search::Recorded;
use crate::survey::Survey;
use crate::{Error, Result};

/// A model, and what is known of it.
#[derive(Debug)]
pub struct Model<'a> {
    /// What it is called on the page.
    pub name: String,
    /// What its weights are made of.
    pub survey: &'a mut Survey,
    /// Bytes of its files.
    pub file_bytes: u64,
    /// What computed.
    pub engine: EngineInfo,
    /// For each tensor of the survey, why pruning would leave it out, if it would: see [`crate::prune::left_out`].
    pub left_out: Vec<Option<String>>,
}

impl Model<'_> {
    fn eligible(&self) -> Vec<bool> {
        self.left_out.iter().map(Option::is_none).collect()
    }
}

/// What a page is about: at least a model or a journal.
#[derive(Debug, Default)]
pub struct Subject<'a> {
    /// The model; the one before, where there are two.
    pub model: Option<Model<'a>>,
    /// The model after.
    pub other: Option<Model<'a>>,
    /// A search.
    pub journal: Option<Recorded>,
}

impl Subject<'_> {
    /// The page: some 100 kB and 2 kB a tensor, or half a kilobyte where there are thousands.
    ///
    /// Names are escaped wherever they stand, and the page lets no script run but its own.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is about nothing, [`Error::Io`] where counts cannot be read back.
    pub fn html(&mut self) -> Result<String> {
        let (mut sections, mut data) = (Vec::new(), None);
        if let Some(journal) = &self.journal {
            sections.push(journal::section(journal)?);
        }
        let (title, subtitle) = match (&mut self.model, &mut self.other) {
            (Some(before), Some(after)) => {
                let (found, columns) = pair::sections(before, after)?;
                sections.extend(found);
                data = Some(columns);
                let title = format!("{} → {}", safe(&before.name, 120), safe(&after.name, 120));
                (title, "two models: before and after".to_owned())
            }
            (Some(model), None) | (None, Some(model)) => {
                let (found, columns) = model::sections(model)?;
                sections.extend(found);
                data = Some(columns);
                let weights = super::number::grouped(model.survey.total.count);
                (safe(&model.name, 240), format!("{weights} weights in {} tensors", model.survey.tensors.len()))
            }
            (None, None) => match &self.journal {
                Some(journal) => {
                    (safe(&journal::model_name(journal), 240), "a search for its smallest good version".to_owned())
                }
                None => return Err(Error::Usage("a report is about a model or a journal: name one".to_owned())),
            },
        };
        blocks::html(&title, &subtitle, &sections, &data.unwrap_or_else(nothing))
    }

    /// The pictures of the page, and those of each tensor.
    ///
    /// # Errors
    /// As [`html`](Self::html), and whatever `each` returns.
    pub fn figures(&mut self, each: &mut dyn FnMut(Figure) -> Result<()>) -> Result<()> {
        if let Some(journal) = &self.journal {
            journal::figures(journal, each)?;
        }
        match (&mut self.model, &mut self.other) {
            (Some(before), Some(after)) => pair::figures(before, after, each),
            (Some(model), None) | (None, Some(model)) => model::figures(model, each),
            (None, None) => Ok(()),
        }
    }
}

fn nothing() -> Data {
    Data {
        detail: Detail::for_tensors(0),
        kinds: Vec::new(),
        rates: Vec::new(),
        tensors: Columns::default(),
        after: None,
        changes: None,
    }
}

fn only_figures(blocks: impl Iterator<Item = Block>, each: &mut dyn FnMut(Figure) -> Result<()>) -> Result<()> {
    for block in blocks {
        if let Block::Figure(figure, _) = block {
            each(*figure)?;
        }
    }
    Ok(())
}
