//! Which kind of layer a tensor belongs to, and how deep it lies, by the numbers in its name.

use std::collections::{BTreeMap, BTreeSet};

/// The rows and columns of a map, and where each tensor lies in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kinds {
    /// Names without their numbers, `*` in their places, by first appearance.
    pub(super) rows: Vec<String>,
    /// Depths: the leading numbers, ascending; first those that have none.
    pub(super) columns: Vec<String>,
    /// Row and column of each tensor.
    pub(super) places: Vec<(usize, usize)>,
}

/// The most rows; what there is beyond shares one.
const ROWS: usize = 24;
/// The most columns, neighbours share one beyond.
const COLUMNS: usize = 96;
/// As many numbers tell depths apart as give at most so many of them.
const DEPTHS: usize = 64;
/// The most of these.
const LEVELS: usize = 3;

const OTHERS: &str = "other kinds";

/// A name between its numbers: one text more than there are numbers.
struct Split {
    texts: Vec<String>,
    numbers: Vec<u32>,
}

impl Split {
    fn new(name: &str) -> Self {
        let mut split = Self { texts: vec![String::new()], numbers: Vec::new() };
        let mut rest = name;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let end = rest[start..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| start + end);
            let last = split.texts.last_mut();
            match (rest[start..end].parse(), last) {
                (Ok(number), Some(last)) if end - start <= 6 => {
                    last.push_str(&rest[..start]);
                    split.numbers.push(number);
                    split.texts.push(String::new());
                }
                (_, Some(last)) => last.push_str(&rest[..end]),
                (_, None) => {}
            }
            rest = &rest[end..];
        }
        if let Some(last) = split.texts.last_mut() {
            last.push_str(rest);
        }
        split
    }

    fn depth(&self, levels: usize) -> &[u32] {
        &self.numbers[..levels.min(self.numbers.len())]
    }

    /// The name with `*` for its first `levels` numbers, or for all.
    fn kind(&self, levels: usize) -> String {
        let mut kind = String::new();
        for (i, text) in self.texts.iter().enumerate() {
            kind.push_str(text);
            match self.numbers.get(i) {
                Some(_) if i < levels => kind.push('*'),
                Some(number) => kind.push_str(&number.to_string()),
                None => {}
            }
        }
        kind
    }
}

impl Kinds {
    /// Kinds of tensors of these names and numbers of weights.
    pub(super) fn new<'a>(tensors: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let (splits, weights): (Vec<Split>, Vec<u64>) =
            tensors.into_iter().map(|(name, count)| (Split::new(name), count)).unzip();
        let depths = |levels: usize| splits.iter().map(|s| s.depth(levels)).collect::<BTreeSet<&[u32]>>();
        let levels = (1..=LEVELS).rev().find(|levels| depths(*levels).len() <= DEPTHS).unwrap_or(1);

        let named = |levels: usize| splits.iter().map(|s| s.kind(levels)).collect::<Vec<String>>();
        let few = |kinds: &[String]| kinds.iter().collect::<BTreeSet<_>>().len() <= ROWS;
        let mut kinds = named(levels);
        if !few(&kinds) {
            kinds = named(usize::MAX);
        }
        // The kinds that hold most weights have a row each.
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        kinds.iter().zip(&weights).for_each(|(kind, count)| *sums.entry(kind).or_default() += count);
        let mut largest: Vec<&str> = sums.keys().copied().collect();
        largest.sort_by_key(|kind| std::cmp::Reverse(sums[kind]));
        let kept: BTreeSet<String> = match largest.len() {
            n if n <= ROWS => largest.into_iter().map(str::to_owned).collect(),
            _ => largest[..ROWS - 1].iter().map(|kind| (*kind).to_owned()).collect(),
        };
        let mut rows: Vec<String> = Vec::new();
        let mut row_of: BTreeMap<String, usize> = BTreeMap::new();
        for kind in kinds.iter().filter(|kind| kept.contains(*kind)) {
            if !row_of.contains_key(kind) {
                row_of.insert(kind.clone(), rows.len());
                rows.push(kind.clone());
            }
        }
        let others = rows.len();
        if kinds.iter().any(|kind| !kept.contains(kind)) {
            rows.push(OTHERS.to_owned());
        }

        let depths: Vec<&[u32]> = depths(levels).into_iter().collect();
        let shared = depths.len().div_ceil(COLUMNS).max(1);
        let label = |depth: &[u32]| match depth {
            [] => "–".to_owned(),
            _ => depth.iter().map(u32::to_string).collect::<Vec<_>>().join("."),
        };
        let columns = depths.chunks(shared).map(|depths| label(depths[0])).collect();
        let place = |(split, kind): (&Split, &String)| {
            let column = depths.binary_search(&split.depth(levels)).unwrap_or(0) / shared;
            (row_of.get(kind).copied().unwrap_or(others), column)
        };
        let places = splits.iter().zip(&kinds).map(place).collect();
        Self { rows, columns, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(names: &[&str]) -> Kinds {
        Kinds::new(names.iter().map(|name| (*name, 10)))
    }

    #[test]
    fn transformers_and_convolutional_networks() {
        let found = kinds(&[
            "embed.weight",
            "layers.0.q.weight",
            "layers.0.up.weight",
            "layers.1.q.weight",
            "layers.10.q.weight",
        ]);
        assert_eq!(found.rows, ["embed.weight", "layers.*.q.weight", "layers.*.up.weight"]);
        assert_eq!(found.columns, ["–", "0", "1", "10"]);
        assert_eq!(found.places, [(0, 0), (1, 1), (2, 1), (1, 2), (1, 3)]);

        let found = kinds(&["conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight", "layer2.0.conv1.weight"]);
        assert_eq!(found.rows, ["conv*.weight", "layer*.*.conv*.weight"]);
        assert_eq!(found.columns, ["1", "1.0.1", "1.0.2", "2.0.1"]);
        assert_eq!(found.places, [(0, 0), (1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn experts_share_a_row() {
        let names: Vec<String> =
            (0..30).flat_map(|l| (0..40).map(move |e| format!("l.{l}.experts.{e}.up.weight"))).collect();
        let found = kinds(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((found.rows.len(), found.columns.len()), (1, 30));
        assert_eq!(found.rows, ["l.*.experts.*.up.weight"]);
        assert_eq!(found.places[41], (0, 1));
    }

    #[test]
    fn many_kinds_and_depths_and_awkward_names() {
        let names: Vec<String> =
            (0..2000).map(|i| format!("{}{i}", char::from_u32(0x4e00 + i % 40).unwrap())).collect();
        let found = Kinds::new(names.iter().zip(1..).map(|(name, count)| (name.as_str(), count)));
        assert_eq!((found.rows.len(), found.rows.last().unwrap().as_str()), (ROWS, OTHERS));
        assert!(found.columns.len() <= COLUMNS);
        assert!(found.places.iter().all(|(row, column)| *row < ROWS && *column < found.columns.len()));
        let found = kinds(&["", "7", "99999999999999999999", "a\u{661}"]);
        assert_eq!(found.places.len(), 4);
        assert_eq!(kinds(&[]), Kinds { rows: vec![], columns: vec![], places: vec![] });
    }
}
