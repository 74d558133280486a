//! What exactly happens to each tensor: pure data, JSON both ways.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Criterion, PlannedClass};
use crate::{Checkpoint, Dtype, Error, Result, Selection};

/// The largest file that is read as a plan.
const MAX_BYTES: u64 = 1 << 30;

/// The printable result of criterion, pattern, allocation and schedule. It holds integers alone: run again on the same
/// model, by whichever engine, it cuts the same weights.
///
/// ```
/// use secateur::prune::Plan;
///
/// let text = r#"{"secateur": "0.1.0", "pattern": "element", "criterion": "magnitude", "keep": "largest",
///     "tensors": [{"name": "fc.weight", "dtype": "F32", "shape": [4, 8], "count": 32, "cut": 16}], "left_out": []}"#;
/// let plan: Plan = serde_json::from_str(text)?;
/// assert_eq!(plan.tensors[0].cut, 16);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version that made it.
    pub secateur: String,
    /// What is cut: `element`, `N:M` or `channel`.
    pub pattern: String,
    /// How weights are scored, as [`Criterion`] spells it, or channels, as [`GroupCriterion`](super::GroupCriterion) does.
    pub criterion: String,
    /// Which scores stay.
    pub keep: String,
    /// How the rate was shared among the tensors, for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<String>,
    /// Whether channels were scored by all that depends on them, for the reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupled: Option<bool>,
    /// What was done to weights before channels were scored, for the reader: `standardize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<String>,
    /// The tensors that are cut, bytewise by name.
    pub tensors: Vec<PlannedTensor>,
    /// The classes of channels, in the order of the graph, where the pattern is `channel`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<PlannedClass>,
    /// What stays as it is, and why.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// What happens to one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTensor {
    /// Its name.
    pub name: String,
    /// Its dtype.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its elements.
    pub count: u64,
    /// How many are cut: those that rank lowest. NaN is never cut, even if fewer are left then.
    pub cut: u64,
}

/// A tensor that is not cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] where the file is no plan, no regular file or larger than 1 GiB.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        // Before it is opened: opening a pipe waits for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::format(path, "this is no regular file, as a plan is"));
        }
        let mut text = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)).map_err(failed)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(Error::format(path, "this is no plan: it is larger than 1 GiB"));
        }
        serde_json::from_slice(&text)
            .map_err(|e| Error::format(path, format!("this is no plan: {e} (--plan writes one)")))
    }

    /// The part of the plan that is about the tensors of `selection`: of classes of channels, those whose weights it means.
    #[must_use]
    pub fn only(mut self, selection: &Selection) -> Self {
        let left =
            |t: &PlannedTensor| LeftOut { name: t.name.clone(), reason: "not chosen by --only and --skip".to_owned() };
        let (chosen, others): (Vec<_>, Vec<_>) = self.tensors.into_iter().partition(|t| selection.includes(&t.name));
        self.left_out.extend(others.iter().map(left));
        self.tensors = chosen;
        self.classes.iter_mut().for_each(|class| class.only(selection));
        self
    }

    /// Checks that the plan is for this model.
    pub(super) fn check(&self, model: &Checkpoint) -> Result<()> {
        for planned in &self.tensors {
            let fail = |why: String| {
                let message = format!("the plan is not for this model: {why}");
                Error::tensor(model.path(), &planned.name, message)
            };
            let tensor = model.get(&planned.name).ok_or_else(|| fail("the model has no such tensor".to_owned()))?;
            if tensor.shape() != planned.shape || tensor.dtype() != planned.dtype {
                return Err(fail(format!(
                    "it is {} {:?} in the plan and {} {:?} in the model",
                    planned.dtype,
                    planned.shape,
                    tensor.dtype(),
                    tensor.shape()
                )));
            }
            if tensor.float().is_none() {
                return Err(fail(format!("{} has no magnitudes to cut by", tensor.dtype())));
            }
            if planned.cut > tensor.elements() {
                return Err(fail(format!("{} of its {} elements are to be cut", planned.cut, tensor.elements())));
            }
        }
        let mut names: Vec<&str> = self.tensors.iter().map(|t| t.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(Error::tensor(model.path(), twice[0], "the plan has it twice")),
            None => Ok(()),
        }
    }

    /// The criterion of the plan.
    pub(super) fn criterion(&self) -> Result<Criterion> {
        self.criterion.parse()
    }
}
