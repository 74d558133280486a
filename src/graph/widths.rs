//! Axes in terms of classes: of values, of layers, and of what has to be rewritten.

use std::collections::{HashMap, HashSet};

use super::atoms::{Segment, Walk};
use super::classes::{NOWHERE, Sorted};
use super::layers::{Multiplications, Product};
use super::state::{Named, State};
use super::{Dependencies, Edit, Layer, Macs, Width};

impl Sorted {
    /// The length of an axis in terms of classes. An axis of which a class has a part alone freezes it.
    fn width(&mut self, state: &mut State<'_>, channels: &[Segment]) -> Width {
        let mut width = Width::default();
        let mut place: HashMap<usize, usize> = HashMap::new();
        let mut walk = Walk::new(channels);
        while let Some((atom, indices)) = walk.stretch() {
            walk.skip(indices);
            let class = atom.map_or(NOWHERE, |atom| self.class_of[state.atoms.root(atom) as usize]);
            if class == NOWHERE {
                width.fixed = width.fixed.saturating_add(indices);
                continue;
            }
            let place = *place.entry(class).or_insert(width.classes.len());
            match width.classes.get_mut(place) {
                Some((_, sum)) => *sum = sum.saturating_add(indices),
                None => width.classes.push((class, indices)),
            }
        }
        for (class, indices) in &mut width.classes {
            let class = &mut self.classes[*class];
            if *indices % class.channels != 0 {
                class.frozen.get_or_insert_with(|| "a value has some of them alone".to_owned());
            }
            *indices /= class.channels;
        }
        width
    }

    /// Everything that lies along axes, in terms of these classes.
    pub(super) fn into_dependencies(mut self, state: &mut State<'_>) -> Dependencies {
        let mut values = Vec::new();
        for (name, value) in std::mem::take(&mut state.made) {
            let axes = value.axes.iter().flatten().enumerate();
            let widths = axes.filter_map(|(axis, is)| Some((axis, self.width(state, is.channels.as_deref()?))));
            let widths: Vec<_> = widths.filter(|(_, width)| !width.classes.is_empty()).collect();
            if !widths.is_empty() {
                values.push((name.to_owned(), widths));
            }
        }
        let layers = self.layers(state);
        let edits = self.edits(state);
        Dependencies { classes: self.classes, edits, values, layers }
    }

    fn layers(&mut self, state: &mut State<'_>) -> Vec<Layer> {
        let mut counted = HashSet::new();
        let mut layers = Vec::new();
        for draft in std::mem::take(&mut state.layers) {
            let parameters = draft.parameters.iter().filter(|&&name| counted.insert(name));
            let parameters: Vec<_> = parameters.map(|&name| name.to_owned()).collect();
            let macs = match draft.macs {
                Multiplications::None => Some(Macs::default()),
                Multiplications::Unknown => None,
                Multiplications::Known(product) => self.macs(state, &product),
            };
            layers.push(Layer { node: draft.node, name: draft.name.to_owned(), parameters, macs });
        }
        layers
    }

    fn macs(&mut self, state: &mut State<'_>, product: &Product) -> Option<Macs> {
        let (output, input) = (self.width(state, &product.output), self.width(state, &product.input));
        Some(Macs { positions: product.positions?, kernel: product.kernel, output, input })
    }

    /// What names the width of an axis that may become another.
    fn edits(&mut self, state: &mut State<'_>) -> Vec<Edit> {
        let mut edits = Vec::new();
        for (named, channels) in std::mem::take(&mut state.named) {
            let width = self.width(state, &channels);
            if width.classes.iter().all(|&(class, _)| self.classes[class].frozen.is_some()) {
                continue;
            }
            edits.push(match named {
                Named::Group(node) => Edit::Group { node, width },
                Named::Shape(at) => {
                    Edit::Shape { node: at.node, input: at.input, name: at.name.to_owned(), index: at.index, width }
                }
            });
        }
        edits
    }
}
