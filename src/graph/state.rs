//! The walk over a graph: what is known of each value, and what has been found out about channels.

use std::collections::{HashMap, HashSet};

use super::Role;
use super::atoms::{Atoms, Channels};
use super::ir::{Dim, Graph};
use super::layers::Draft;
use super::operators;
use super::site::Site;
use super::value::{Axis, Length, MOST_AXES, Source, Value};
use super::values;
use crate::shortened;

/// An axis of a tensor of the checkpoint, and the channels along it.
pub(super) struct Record<'a> {
    pub(super) tensor: &'a str,
    pub(super) axis: usize,
    pub(super) role: Role,
    pub(super) channels: Channels,
}

/// Something that names a width.
pub(super) enum Named<'a> {
    Group(usize),
    Shape(Source<'a>),
}

/// Everything that is found out, in graph order.
pub(super) struct State<'a> {
    pub(super) graph: &'a Graph,
    pub(super) atoms: Atoms,
    pub(super) records: Vec<Record<'a>>,
    /// What is written in the file and has to follow a width.
    pub(super) named: Vec<(Named<'a>, Channels)>,
    pub(super) layers: Vec<Draft<'a>>,
    /// Values that operators make, in order.
    pub(super) made: Vec<(&'a str, Value<'a>)>,
    /// Index in `made`, by name.
    by_name: HashMap<&'a str, usize>,
    /// Index in `records`, by tensor and axis.
    pub(super) recorded: HashMap<(&'a str, usize), usize>,
    /// The nodes that take a value, once for each time.
    pub(super) users: HashMap<&'a str, Vec<usize>>,
    pub(super) outputs: HashSet<&'a str>,
    inputs: HashMap<&'a str, Value<'a>>,
    symbols: u32,
}

impl<'a> State<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        let mut state = Self {
            graph,
            atoms: Atoms::default(),
            records: Vec::new(),
            named: Vec::new(),
            layers: Vec::new(),
            made: Vec::new(),
            by_name: HashMap::new(),
            recorded: HashMap::new(),
            users: HashMap::new(),
            outputs: HashSet::new(),
            inputs: HashMap::new(),
            symbols: 0,
        };
        state.find_users();
        state.read_inputs();
        state
    }

    /// Who takes what. Whoever takes the result of `Identity` of a constant takes the constant, and so does who takes it as
    /// another kind of float: exporters share tensors so, and keep them in 16 bits.
    fn find_users(&mut self) {
        let graph = self.graph;
        let mut aliases: HashMap<&str, &str> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            let resolve = |name: &'a str| aliases.get(name).copied().unwrap_or(name);
            if let ([input], [output]) = (node.inputs.as_slice(), node.outputs.as_slice())
                && operators::is_same_array(node)
                && graph.constants.contains_key(resolve(input))
            {
                aliases.insert(output, resolve(input));
                continue;
            }
            for name in node.inputs.iter().chain(&node.captured).filter(|name| !name.is_empty()) {
                self.users.entry(resolve(name)).or_default().push(index);
            }
        }
        for name in &graph.outputs {
            self.outputs.extend([name.as_str(), aliases.get(name.as_str()).copied().unwrap_or(name)]);
        }
    }

    fn read_inputs(&mut self) {
        let mut known: HashMap<&str, Length> = HashMap::new();
        for input in &self.graph.inputs {
            let axes = input.shape.as_ref().filter(|shape| shape.len() <= MOST_AXES).map(|shape| {
                let length = |dim: &'a Dim| match dim {
                    Dim::Fixed(length) => Length::Fixed(*length),
                    Dim::Named(name) => *known.entry(name).or_insert_with(|| self.symbol()),
                    Dim::Unknown => self.symbol(),
                };
                shape.iter().map(length).map(Axis::plain).collect()
            });
            self.inputs.insert(&input.name, Value { axes, ..Value::default() });
        }
    }

    /// A length of which nothing is known.
    pub(super) fn symbol(&mut self) -> Length {
        // A file of 2^32 axes would be needed to come round.
        self.symbols = self.symbols.wrapping_add(1);
        Length::Symbol(self.symbols)
    }

    /// Goes through all operators.
    pub(super) fn run(&mut self) {
        for index in 0..self.graph.nodes.len() {
            self.step(index);
        }
    }

    fn step(&mut self, index: usize) {
        let node = &self.graph.nodes[index];
        let inputs: Vec<_> = node.inputs.iter().enumerate().map(|(i, name)| self.read(index, i, name)).collect();
        let mut site = Site { index, node, taken: vec![false; inputs.len()], inputs, product: None };
        let known = self.atoms.len();
        let mut results = match operators::follow(self, &mut site) {
            Ok(results) => results,
            Err(why) => {
                let why = format!("{} {why}", site.label());
                for value in &site.inputs {
                    self.freeze_value(value, &why);
                }
                self.atoms.freeze_since(known, &why);
                Vec::new()
            }
        };
        self.freeze_left_over(&site);
        let elements = values::evaluate(&site);
        if elements.is_none() && !operators::reads_shapes(&node.op) {
            let why = format!("{} computes with their number", site.label());
            for value in &site.inputs {
                value.counted().for_each(|channels| self.atoms.freeze(channels, &why));
            }
        }
        if let Some(elements) = elements {
            if results.is_empty() {
                results.push(Value::default());
            }
            results[0].elements = Some(elements);
        }
        self.layers.extend(super::layers::draft(self, &site));
        let results = results.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        for (name, result) in node.outputs.iter().zip(results).filter(|(name, _)| !name.is_empty()) {
            self.give(name, result, &site);
        }
    }

    /// Notes a result; one that is not understood ties its operator's inputs where anything uses it.
    fn give(&mut self, name: &'a str, result: Option<Value<'a>>, site: &Site<'a>) {
        let is_output = self.outputs.contains(name);
        // What has more is not followed.
        let result = result.filter(|value| value.axes.as_ref().is_none_or(|axes| axes.len() <= MOST_AXES));
        if result.is_none() && (is_output || self.users.contains_key(name)) {
            let why = format!("{} makes `{}`, which is not followed", site.label(), shortened(name));
            site.inputs.iter().for_each(|value| self.freeze_value(value, &why));
        }
        let value = result.unwrap_or_default();
        if is_output {
            let why = format!("they are in `{}`, a result of the network", shortened(name));
            self.freeze_value(&value, &why);
        }
        self.by_name.insert(name, self.made.len());
        self.made.push((name, value));
    }

    /// What an operator's function did not ask for, and what graphs inside it use.
    fn freeze_left_over(&mut self, site: &Site<'a>) {
        for (index, value) in site.inputs.iter().enumerate().filter(|&(index, _)| !site.taken[index]) {
            if value.channels().next().is_some() {
                let why = format!("{} takes {} in a way that is not followed", site.label(), site.shown(index));
                value.channels().for_each(|channels| self.atoms.freeze(channels, &why));
            }
        }
        for name in &site.node.captured {
            let value = self.read(site.index, usize::MAX, name);
            self.freeze_value(&value, &format!("a graph inside {} uses `{}`", site.label(), shortened(name)));
        }
    }

    /// All channels of a value, and those whose number it holds, must stay.
    pub(super) fn freeze_value(&mut self, value: &Value<'a>, why: &str) {
        value.channels().chain(value.counted()).for_each(|channels| self.atoms.freeze(channels, why));
    }

    /// What is known of a value that node `node` takes as its input `input`.
    fn read(&self, node: usize, input: usize, name: &'a str) -> Value<'a> {
        if let Some((name, constant)) = self.graph.constants.get_key_value(name) {
            let mut value = Value::constant(name, constant);
            for (index, element) in value.elements.iter_mut().flatten().enumerate() {
                element.source = Some(Source { node, input, name, index });
            }
            return value;
        }
        if let Some(value) = self.inputs.get(name) {
            return value.clone();
        }
        let Some(made) = self.by_name.get(name).and_then(|&index| self.made.get(index)) else {
            return Value::default();
        };
        let mut value = made.1.clone();
        if self.users.get(name).is_none_or(|users| users.len() > 1) || self.outputs.contains(name) {
            // What is changed in the file would change for every user.
            value.elements.iter_mut().flatten().for_each(|element| element.source = None);
        }
        value
    }
}
