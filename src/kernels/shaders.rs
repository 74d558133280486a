//! Every shader has a twin, is valid without any capability, and agrees with its host structs. Needs no GPU.

use std::collections::BTreeSet;
use std::mem::{offset_of, size_of};

use super::{
    apply_mask, bin_counts, bit_histogram, byte_histogram, digit_counts, digit_pick, gather, mask_counts, moments,
    nm_mask, overlay, select, strided_moments, sum, threshold_mask, tie_counts, tie_scan,
};

const ALL: [(&str, &str); 17] = [
    ("apply_mask", apply_mask::SOURCE),
    ("bin_counts", bin_counts::SOURCE),
    ("bit_histogram", bit_histogram::SOURCE),
    ("byte_histogram", byte_histogram::SOURCE),
    ("digit_counts", digit_counts::SOURCE),
    ("digit_pick", digit_pick::SOURCE),
    ("gather", gather::SOURCE),
    ("mask_counts", mask_counts::SOURCE),
    ("moments", moments::SOURCE),
    ("nm_mask", nm_mask::SOURCE),
    ("overlay", overlay::SOURCE),
    ("select", select::SOURCE),
    ("strided_moments", strided_moments::SOURCE),
    ("sum", sum::SOURCE),
    ("threshold_mask", threshold_mask::SOURCE),
    ("tie_counts", tie_counts::SOURCE),
    ("tie_scan", tie_scan::SOURCE),
];

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let wanted = files.filter(|p| p.extension().is_some_and(|e| e == extension));
    wanted.map(|p| p.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_shader_has_a_twin() {
    let listed: BTreeSet<String> = ALL.iter().map(|(stem, _)| (*stem).to_owned()).collect();
    assert_eq!(stems("shaders", "wgsl"), listed);
    let twins = stems("src/kernels", "rs");
    assert!(listed.is_subset(&twins), "{listed:?} {twins:?}");
}

fn parsed(stem: &str, source: &str) -> naga::Module {
    naga::front::wgsl::parse_str(source).unwrap_or_else(|e| panic!("{stem}: {}", e.emit_to_string(source)))
}

#[test]
fn every_shader_is_valid_without_capabilities() {
    for (stem, source) in ALL.into_iter().chain([("moments", moments::SOURCE_AND_REST)]) {
        let flags = naga::valid::ValidationFlags::all();
        let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::empty());
        if let Err(e) = validator.validate(&parsed(stem, source)) {
            panic!("{stem}: {}", e.emit_to_string(source));
        }
    }
}

/// Names, offsets and size of a struct of a shader.
fn layout(source: &str, name: &str) -> (Vec<(String, usize)>, usize) {
    let module = parsed(name, source);
    let found = module.types.iter().find(|(_, t)| t.name.as_deref() == Some(name)).unwrap().1;
    let naga::TypeInner::Struct { members, span } = &found.inner else { panic!("{name} is no struct") };
    (members.iter().map(|m| (m.name.clone().unwrap(), m.offset as usize)).collect(), *span as usize)
}

macro_rules! assert_same_layout {
    ($source:expr, $name:literal, $host:ty { $($field:ident),* }) => {
        let (members, size) = layout($source, $name);
        let host = vec![$((stringify!($field).to_owned(), offset_of!($host, $field))),*];
        assert_eq!((members, size), (host, size_of::<$host>()), $name);
    };
}

#[test]
fn structs_are_laid_out_alike() {
    assert_same_layout!(moments::SOURCE, "Tile", moments::Tile { start, length });
    assert_same_layout!(strided_moments::SOURCE, "Lane", strided_moments::Lane { start, length, stride });
    assert_same_layout!(byte_histogram::SOURCE, "Tile", byte_histogram::Tile { start, length, table });
    assert_same_layout!(bit_histogram::SOURCE, "Tile", moments::Tile { start, length });
    for source in [select::SOURCE, bin_counts::SOURCE] {
        assert_same_layout!(source, "View", select::View { start, length, run, stride, group });
    }
    for source in [threshold_mask::SOURCE, tie_counts::SOURCE, mask_counts::SOURCE, apply_mask::SOURCE, overlay::SOURCE]
    {
        assert_same_layout!(source, "Tile", threshold_mask::Tile { start, length, mask, cut, index });
    }
    for source in [threshold_mask::SOURCE, tie_counts::SOURCE, tie_scan::SOURCE, digit_pick::SOURCE] {
        assert_same_layout!(source, "Cut", threshold_mask::Cut { start, span, tie, budget, first_tile, tiles });
    }
    assert_same_layout!(digit_counts::SOURCE, "Tile", digit_counts::Tile { start, length, pick });
    for source in [digit_counts::SOURCE, digit_pick::SOURCE] {
        assert_same_layout!(
            source,
            "Pick",
            digit_counts::Pick { key, low, high, found, first_cut, cuts, budget, unused }
        );
    }
    assert_same_layout!(gather::SOURCE, "Tile", gather::Tile { part, first, words });
    assert_same_layout!(gather::SOURCE, "Part", gather::Part { start, stride, inner, count, kept, out, length, log2 });
    assert_same_layout!(
        nm_mask::SOURCE,
        "Groups",
        nm_mask::Groups { start, first, count, stride, mask, length, cut, largest, above }
    );
    let (members, size) = layout(moments::SOURCE, "Partial");
    assert_eq!(size, size_of::<moments::Partial>());
    assert_eq!(members, layout(strided_moments::SOURCE, "Partial").0);
    assert_eq!(members, moments::Partial::layout());
}
