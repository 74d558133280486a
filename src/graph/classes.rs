//! From single channels to classes: those that lie alike, in order.

use std::collections::HashMap;

use super::atoms::Walk;
use super::state::State;
use super::{Class, Dependencies, Graph, Member, Role};
use crate::Result;
use crate::shortened;

impl Dependencies {
    /// Finds out which channels of a network go together, and which can go at all.
    ///
    /// A class is frozen, with the reason, unless it is proven that the network without some of its channels gives what it
    /// gave with their weights, biases, scales and shifts at 0. Nothing is taken from names, nor from shapes that a file
    /// claims values to have: they are computed from those of its inputs.
    ///
    /// Fails where a value is used before it is made, made twice, or never made.
    ///
    /// ```
    /// use secateur::graph::{Attribute, Constant, Dependencies, Dim, Graph, Node, Role, Value};
    ///
    /// let weight = |shape: &[u64]| {
    ///     let dtype = Some(secateur::Dtype::F32);
    ///     Constant { shape: shape.to_vec(), dtype, values: None, is_tensor: true }
    /// };
    /// let node = |op: &str, inputs: &[&str], output: &str| Node {
    ///     op: op.into(),
    ///     inputs: inputs.iter().map(|&name| name.into()).collect(),
    ///     outputs: vec![output.into()],
    ///     ..Node::default()
    /// };
    /// let mut flatten = node("Flatten", &["b"], "c");
    /// flatten.attributes.insert("axis".into(), Attribute::Int(1));
    /// let graph = Graph {
    ///     opset: 17,
    ///     inputs: vec![Value { name: "x".into(), shape: Some([1, 3, 8, 8].map(Dim::Fixed).to_vec()) }],
    ///     nodes: vec![
    ///         node("Conv", &["x", "conv.weight", "conv.bias"], "a"),
    ///         node("Relu", &["a"], "b"),
    ///         flatten,
    ///         node("Gemm", &["c", "fc.weight"], "y"),
    ///     ],
    ///     outputs: vec!["y".into()],
    ///     constants: [("conv.weight", &[16, 3, 3, 3][..]), ("conv.bias", &[16]), ("fc.weight", &[16 * 6 * 6, 10])]
    ///         .map(|(name, shape)| (name.to_string(), weight(shape)))
    ///         .into(),
    /// };
    ///
    /// let found = Dependencies::of(&graph)?;
    /// let class = &found.classes[0];
    /// assert_eq!((class.name.as_str(), class.channels, &class.frozen), ("conv.weight", 16, &None));
    /// // Each channel is 36 rows of the matrix that follows.
    /// let member = class.members.last().expect("there are three");
    /// assert_eq!((member.tensor.as_str(), member.axis, member.run, member.role), ("fc.weight", 0, 36, Role::Input));
    /// let frozen = found.classes[1].frozen.as_deref();
    /// assert_eq!(frozen, Some("they are in `y`, a result of the network"));
    /// # Ok::<(), secateur::Error>(())
    /// ```
    pub fn of(graph: &Graph) -> Result<Self> {
        super::check::check(graph)?;
        let mut state = State::new(graph);
        state.run();
        Ok(Sorted::of(&mut state).into_dependencies(&mut state))
    }
}

/// Consecutive indices of a channel in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    record: u32,
    start: u64,
    run: u64,
}

/// Classes, and the class of each channel.
pub(super) struct Sorted {
    pub(super) classes: Vec<Class>,
    /// By root; `NOWHERE` for what is no root or in no class.
    pub(super) class_of: Vec<usize>,
}

/// The class of what is in none.
pub(super) const NOWHERE: usize = usize::MAX;

impl Sorted {
    fn of(state: &mut State<'_>) -> Self {
        let mut channels = stretches(state);
        // What no tensor of the checkpoint makes is frozen, and no class.
        let made = |stretch: &Stretch| state.records[stretch.record as usize].role == Role::Output;
        channels.retain(|(_, stretches)| stretches.iter().any(made));
        // The order of classes, and of channels in them: where they first appear.
        channels.sort_by_key(|(_, stretches)| stretches.first().copied());
        let mut groups: Vec<Vec<(u32, Vec<Stretch>)>> = Vec::new();
        let mut known: HashMap<Vec<(u32, u64)>, usize> = HashMap::new();
        for (root, stretches) in channels {
            let key = stretches.iter().map(|stretch| (stretch.record, stretch.run)).collect();
            let group = *known.entry(key).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push((root, stretches));
        }
        let mut sorted = Self { classes: Vec::new(), class_of: vec![NOWHERE; state.atoms.len()] };
        for group in groups {
            sorted.add(state, &group);
        }
        sorted
    }

    /// Adds channels of which each has a stretch where the others have one.
    fn add(&mut self, state: &mut State<'_>, group: &[(u32, Vec<Stretch>)]) {
        let follows = |a: &[Stretch], b: &[Stretch]| a.iter().zip(b).position(|(a, b)| a.start + a.run != b.start);
        let mut irregular = None;
        let mut parts = Vec::new();
        let mut from = 0;
        for at in 1..=group.len() {
            let broken = group.get(at).map(|next| follows(&group[at - 1].1, &next.1));
            if let Some(None) = broken {
                continue;
            }
            if let Some(Some(stretch)) = broken {
                irregular = irregular.or(group[0].1.get(stretch).map(|stretch| stretch.record));
            }
            parts.push(&group[from..at]);
            from = at;
        }
        let tensor = irregular.map(|record| shortened(state.records[record as usize].tensor));
        let irregular = tensor.map(|tensor| format!("their channels lie irregularly in `{tensor}`"));
        for part in parts {
            let class = self.class(state, part, irregular.clone());
            self.classes.push(class);
        }
    }

    fn class(&mut self, state: &mut State<'_>, part: &[(u32, Vec<Stretch>)], irregular: Option<String>) -> Class {
        let mut reason: Option<(u32, String)> = None;
        for (root, _) in part {
            self.class_of[*root as usize] = self.classes.len();
            if let Some((rank, text)) = state.atoms.reason(*root)
                && reason.as_ref().is_none_or(|(first, _)| rank < *first)
            {
                reason = Some((rank, text.to_owned()));
            }
        }
        let member = |stretch: &Stretch| {
            let record = &state.records[stretch.record as usize];
            let (tensor, axis, role) = (record.tensor.to_owned(), record.axis, record.role);
            Member { tensor, axis, start: stretch.start, run: stretch.run, role }
        };
        let mut members: Vec<_> = part[0].1.iter().map(member).collect();
        if let Some(first) = members.iter().position(|member| member.role == Role::Output) {
            members[..=first].rotate_right(1);
        }
        Class {
            name: members.first().map_or_else(String::new, |member| member.tensor.clone()),
            channels: part.len() as u64,
            members,
            frozen: reason.map(|(_, text)| text).or(irregular),
        }
    }
}

/// Of each root, in the order of records: where it lies. Stretches that touch are one.
fn stretches(state: &mut State<'_>) -> Vec<(u32, Vec<Stretch>)> {
    let mut by_root: Vec<Vec<Stretch>> = vec![Vec::new(); state.atoms.len()];
    for index in 0..state.records.len() {
        let channels = state.records[index].channels.clone();
        let record = u32::try_from(index).unwrap_or(u32::MAX);
        let (mut walk, mut start) = (Walk::new(&channels), 0_u64);
        while let Some((atom, run)) = walk.stretch() {
            walk.skip(run);
            if let Some(atom) = atom {
                let of = &mut by_root[state.atoms.root(atom) as usize];
                match of.last_mut().filter(|last| last.record == record && last.start + last.run == start) {
                    Some(last) => last.run += run,
                    None => of.push(Stretch { record, start, run }),
                }
            }
            start = start.saturating_add(run);
        }
    }
    (0..).zip(by_root).filter(|(_, stretches)| !stretches.is_empty()).collect()
}
