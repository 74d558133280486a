//! Tensors of the checkpoint along whose axes channels lie.

use super::Role;
use super::atoms::{Channels, length};
use super::check::label;
use super::ir::Constant;
use super::site::Site;
use super::state::{Record, State};
use super::value::Value;
use crate::shortened;

impl<'a> State<'a> {
    /// The tensor of the checkpoint that a value is.
    pub(super) fn tensor(&self, value: &Value<'a>) -> Option<(&'a str, &'a Constant)> {
        let (name, constant) = self.graph.constants.get_key_value(value.constant?)?;
        (constant.is_tensor && constant.dtype.is_some()).then_some((name, constant))
    }

    /// Channels lie along an axis of input `input`. It must be a tensor of the checkpoint, which nothing else uses.
    pub(super) fn attach(&mut self, site: &Site<'a>, input: usize, axis: usize, role: Role, channels: &Channels) {
        let value = site.inputs.get(input).cloned().unwrap_or_default();
        let shown = site.shown(input);
        let Some((tensor, constant)) = self.tensor(&value) else {
            let why = format!("{} takes {shown}, which is no tensor of the checkpoint", site.label());
            return self.atoms.freeze(channels, &why);
        };
        if constant.shape.get(axis) != Some(&length(channels)) {
            let why = format!("{} takes {shown}, whose shape does not fit", site.label());
            return self.atoms.freeze(channels, &why);
        }
        if constant.shape.contains(&0) {
            let why = format!("{} takes {shown}, which has no elements", site.label());
            return self.atoms.freeze(channels, &why);
        }
        if let Some(why) = self.shared(site, tensor) {
            self.atoms.freeze(channels, &why);
        }
        match self.recorded.get(&(tensor, axis)) {
            // One tensor, one fate, whoever uses it.
            Some(&known) => {
                let known = self.records[known].channels.clone();
                self.atoms.join(&known, channels, "");
            }
            None => {
                self.recorded.insert((tensor, axis), self.records.len());
                self.records.push(Record { tensor, axis, role, channels: channels.clone() });
            }
        }
    }

    /// Why a tensor cannot be cut for one operator alone.
    fn shared(&self, site: &Site<'a>, tensor: &'a str) -> Option<String> {
        let shown = shortened(tensor);
        if self.outputs.contains(tensor) {
            return Some(format!("`{shown}` is a result of the network"));
        }
        let users = self.users.get(tensor).map_or(&[][..], Vec::as_slice);
        if users.len() < 2 {
            return None;
        }
        let other = users.iter().find(|&&user| user != site.index).and_then(|&user| self.graph.nodes.get(user));
        Some(match other {
            Some(other) => format!("`{shown}` is shared: {} takes it, {} too", site.label(), label(other)),
            None => format!("`{shown}` is shared: {} takes it twice", site.label()),
        })
    }
}
