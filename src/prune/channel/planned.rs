//! What a plan says of classes, and whether it is about a model.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::classes::unchosen;
use super::run::MOST_CHANNELS;
use crate::graph::{Class, Dependencies, Member};
use crate::prune::{Pattern, Plan};
use crate::{Checkpoint, Error, Result, Selection};

/// What happens to the channels of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedClass {
    /// The class's name: the first weight that makes its channels.
    pub name: String,
    /// How many channels there are.
    pub channels: u64,
    /// How many there were before the first pruning.
    pub original: u64,
    /// Those that go, ascending.
    pub cut: Vec<u64>,
    /// All that has these channels.
    pub members: Vec<Member>,
    /// Why none can go: that the class is frozen, or was not chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
}

impl PlannedClass {
    /// How many channels stay.
    pub fn kept(&self) -> u64 {
        self.channels.saturating_sub(self.cut.len() as u64)
    }

    /// Cuts nothing where the class is not of `selection`.
    pub(in crate::prune) fn only(&mut self, selection: &Selection) {
        if let Some(why) = unchosen(&self.members, selection) {
            self.cut.clear();
            self.frozen.get_or_insert(why);
        }
    }

    /// Why this cannot be done to `class`.
    fn unlike(&self, class: &Class) -> Option<String> {
        if self.channels != class.channels {
            return Some(format!("it has {} channels in the plan and {} in the model", self.channels, class.channels));
        }
        if self.members != class.members {
            let differ = |(a, b): &(&Member, &Member)| a != b;
            let first = self.members.iter().zip(&class.members).find(differ).map(|(_, member)| &member.tensor);
            let of = first.map(|name| format!(", first in `{}`", crate::escape(name))).unwrap_or_default();
            return Some(format!("what depends on its channels is not what it is in the model{of}"));
        }
        if let Some(pair) = self.cut.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Some(format!("channels to be cut are not ascending: {} before {}", pair[0], pair[1]));
        }
        if let Some(beyond) = self.cut.last().filter(|&&last| last >= class.channels) {
            return Some(format!("channel {beyond} is to be cut, and there are {}", class.channels));
        }
        if !self.cut.is_empty() && self.kept() == 0 {
            return Some("all its channels are to be cut, and one has to stay".to_owned());
        }
        if self.original < self.channels || self.original > MOST_CHANNELS {
            return Some(format!("it has {} channels, and {} before the first pruning", self.channels, self.original));
        }
        let frozen = class.frozen.as_ref().filter(|_| !self.cut.is_empty())?;
        Some(format!("its channels cannot be cut: {}", crate::escape(frozen)))
    }
}

/// Where the channels start in the weight that a class is named after: of its outputs, several classes may be parts.
fn start(members: &[Member]) -> u64 {
    members.first().map_or(0, |member| member.start)
}

impl Plan {
    /// The channels that go, ascending, of each class of `dependencies` in their order, once the plan is seen to be about
    /// them.
    ///
    /// # Errors
    /// [`Error::Usage`] where this is no plan of channels; [`Error::Tensor`] where it is not for `model`: classes, widths
    /// or members differ, or channels are to be cut that are not there or have to stay.
    pub fn classes_for(&self, model: &Checkpoint, dependencies: &Dependencies) -> Result<Vec<Vec<u64>>> {
        if self.pattern != Pattern::Channel.to_string() {
            let pattern = crate::escape(&self.pattern);
            return Err(Error::Usage(format!("the plan: pattern `{pattern}` cuts no channels")));
        }
        let fail = |name: &str, why: String| {
            Err(Error::tensor(model.path(), name, format!("the plan is not for this model: {why}")))
        };
        let mut planned: HashMap<(&str, u64), &PlannedClass> = HashMap::new();
        for class in &self.classes {
            if planned.insert((&class.name, start(&class.members)), class).is_some() {
                return fail(&class.name, "the plan has the class twice".to_owned());
            }
        }
        let mut cut = Vec::with_capacity(dependencies.classes.len());
        for class in &dependencies.classes {
            let Some(planned) = planned.remove(&(class.name.as_str(), start(&class.members))) else {
                return fail(&class.name, "it has no such class".to_owned());
            };
            if let Some(why) = planned.unlike(class) {
                return fail(&class.name, why);
            }
            cut.push(planned.cut.clone());
        }
        match self.classes.iter().find(|class| planned.contains_key(&(class.name.as_str(), start(&class.members)))) {
            Some(other) => fail(&other.name, "the model has no such class".to_owned()),
            None => Ok(cut),
        }
    }
}
