//! Pieces, runs and views against the definition of a group.

use super::*;
use proptest::prelude::*;
use std::num::NonZeroU64;

/// The definition: element `i` of the flattened tensor belongs to this group.
fn group_of(shape: &[u64], by: Grouping, i: u64) -> u64 {
    let elements: u64 = shape.iter().product();
    if shape.len() < 2 {
        return 0;
    }
    let cols = elements / shape[0];
    let along = |axis: usize| i / shape[axis + 1..].iter().product::<u64>() % shape[axis];
    match by {
        Grouping::Axis(axis) if axis < shape.len() => along(axis),
        Grouping::Tensor | Grouping::Axis(_) => 0,
        Grouping::Output => along(0),
        Grouping::Input => along(1),
        Grouping::Block(n) => i / cols * cols.div_ceil(n.get()) + i % cols / n.get(),
    }
}

fn grouping() -> impl Strategy<Value = Grouping> {
    prop_oneof![
        Just(Grouping::Tensor),
        Just(Grouping::Output),
        Just(Grouping::Input),
        (0..5usize).prop_map(Grouping::Axis),
        (1..70_000u64).prop_map(|n| Grouping::Block(NonZeroU64::new(n).unwrap())),
        (1..9u64).prop_map(|n| Grouping::Block(NonZeroU64::new(n).unwrap())),
    ]
}

fn shape() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        prop::collection::vec(1..9u64, 0..5),
        (1..4u64, 1..4u64, 1..70_000u64).prop_map(|(r, c, k)| vec![r, c, k]),
        (1..9_000u64, 1..4u64, 1..4u64).prop_map(|(r, c, k)| vec![r, c, k]),
        (1..4u64, 1..90_000u64).prop_map(|(r, c)| vec![r, c]),
        (1..300u64, 1..20u64, 1..20u64).prop_map(|(r, c, k)| vec![r, c, k]),
    ]
}

proptest! {
    #[test]
    fn pieces_cover_every_element_once_in_its_group(shape in shape(), by in grouping(), fold in 1..100_000u64) {
        let layout = Layout::new(&shape, by);
        let elements: u64 = shape.iter().product();
        let mut seen = vec![0u8; elements as usize];
        for part in layout.whole_groups(layout.all(), fold) {
            let mut last = None;
            for piece in layout.pieces(Float::F32, part) {
                prop_assert!(piece.elements() > 0);
                prop_assert!(piece.rows == 1 || matches!(layout.kind, Kind::Columns(_)) || piece.cols == part.cols);
                let mut runs = 0;
                for run in layout.runs(piece) {
                    runs += 1;
                    if matches!(layout.kind, Kind::Columns(_)) {
                        prop_assert!(run.stride > 1 || run.length <= layout.largest_group());
                    } else {
                        prop_assert!(last <= Some(run.group), "groups come in order");
                        last = Some(run.group);
                    }
                    prop_assert!(run.group < layout.groups());
                    for j in 0..run.length {
                        let at = run.start + j * run.stride;
                        let (row, col) = (piece.row + at / piece.cols, piece.col + at % piece.cols);
                        let i = row * layout.cols + col;
                        seen[i as usize] += 1;
                        prop_assert_eq!(run.group, group_of(&shape, by, i));
                    }
                }
                prop_assert_eq!(runs, layout.run_count(piece));
            }
            for view in layout.views(part) {
                prop_assert_eq!(view.length, layout.group(view.group).elements());
                for j in 0..view.length {
                    let at = view.start + j / view.run * view.stride + j % view.run;
                    let i = (part.row + at / part.cols) * layout.cols + part.col + at % part.cols;
                    prop_assert_eq!(view.group, group_of(&shape, by, i));
                }
            }
        }
        prop_assert!(seen.iter().all(|n| *n == 1));
    }

    #[test]
    fn a_group_is_a_region(shape in shape(), by in grouping()) {
        let layout = Layout::new(&shape, by);
        let elements: u64 = shape.iter().product();
        let mut covered = 0;
        for group in [0, layout.groups() / 2, layout.groups() - 1] {
            let region = layout.group(group);
            covered += region.elements();
            prop_assert!(region.elements() <= layout.largest_group());
            let i = region.row * layout.cols + region.col;
            prop_assert_eq!(group_of(&shape, by, i), group);
        }
        prop_assert!(covered >= elements.min(3));
    }
}

#[test]
fn nothing_to_group() {
    for (shape, by, groups) in [
        (&[][..], Grouping::Output, 1),
        (&[7], Grouping::Input, 1),
        (&[0], Grouping::Output, 1),
        (&[3, 0, 2], Grouping::Tensor, 1),
        (&[3, 0, 2], Grouping::Output, 3),
        (&[3, 0, 2], Grouping::Input, 0),
        (&[0, 5], Grouping::Input, 5),
        (&[0, 5], Grouping::Block(NonZeroU64::MIN), 0),
        (&[2, 3, 0, 4], Grouping::Axis(1), 3),
        (&[2, 3, 0, 4], Grouping::Axis(3), 4),
        (&[2, 3, 0, 4], Grouping::Axis(4), 1),
        (&[6], Grouping::Axis(0), 1),
        (&[2, 3], Grouping::Axis(usize::MAX), 1),
        (&[0, 1 << 60], Grouping::Axis(1), 1),
        (&[1 << 60, 0], Grouping::Output, 1),
    ] {
        let layout = Layout::new(shape, by);
        assert_eq!(layout.groups(), groups, "{shape:?} {by}");
        let empty = shape.contains(&0);
        assert_eq!(layout.pieces(Float::F32, layout.all()).count(), usize::from(!empty), "{shape:?} {by}");
    }
}
