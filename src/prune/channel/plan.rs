//! What exactly happens to each class: a part of a [`Plan`](super::Plan).

use serde::{Deserialize, Serialize};

use crate::graph::{Class, Dependencies, Member};
use crate::prune::Plan;
use crate::{Checkpoint, Error, Result};

/// What happens to one class of channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedClass {
    /// The weight whose outputs the channels are.
    pub name: String,
    /// How many there are.
    pub channels: u64,
    /// How many there were before any pruning.
    pub original: u64,
    /// Those that are deleted, ascending.
    pub cut: Vec<u64>,
    /// All that has these channels.
    pub members: Vec<Member>,
    /// Why none can be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
}

impl PlannedClass {
    pub(super) fn new(class: &Class, original: u64, cut: Vec<u64>) -> Self {
        let Class { name, channels, members, frozen } = class.clone();
        Self { name, channels, original, cut, members, frozen }
    }
}

impl Plan {
    /// The channels that go, class by class, of a plan that is for this model.
    pub(super) fn cuts(&self, model: &Checkpoint, dependencies: &Dependencies) -> Result<Vec<Vec<u64>>> {
        let fail = |class: &str, why: String| {
            Error::tensor(model.path(), class, format!("the plan is not for this model: {why}"))
        };
        if self.pattern != "channel" {
            return Err(Error::Usage(format!("the plan is about {}, not about channels", self.pattern)));
        }
        if let Some(unknown) = self.classes.iter().find(|p| dependencies.classes.iter().all(|c| c.name != p.name)) {
            return Err(fail(&unknown.name, "no channels are named after it".to_owned()));
        }
        let mut cuts = Vec::with_capacity(dependencies.classes.len());
        for class in &dependencies.classes {
            // Parts of a layer's channels may be classes of one name: where they lie tells them apart.
            let mut planned = self.classes.iter().filter(|p| p.name == class.name && p.members == class.members);
            let (Some(this), None) = (planned.next(), planned.next()) else {
                return Err(fail(&class.name, "its channels lie elsewhere, or are planned twice".to_owned()));
            };
            if this.channels != class.channels {
                let (planned, there) = (this.channels, class.channels);
                return Err(fail(&class.name, format!("{planned} channels are planned, and {there} are there")));
            }
            if let (false, Some(why)) = (this.cut.is_empty(), &class.frozen) {
                return Err(fail(&class.name, format!("its channels cannot be deleted: {why}")));
            }
            let ascends = this.cut.windows(2).all(|pair| pair[0] < pair[1]);
            let within = this.cut.last().is_none_or(|last| *last < class.channels);
            if !ascends || !within || this.cut.len() as u64 >= class.channels.max(1) {
                return Err(fail(
                    &class.name,
                    "its cut is no ascending list of some of its channels, but not all".to_owned(),
                ));
            }
            cuts.push(this.cut.clone());
        }
        Ok(cuts)
    }
}
