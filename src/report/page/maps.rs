//! Maps of numbers by kind and depth of layer, and which of them are odd.

use super::blocks::{Block, Link};
use super::kinds::Kinds;
use crate::Result;
use crate::report::figure::{Cell, Figure, Map, Scale, safe};
use crate::report::number;
use crate::survey::SurveyedTensor;

/// How many median deviations from the median of its kind a tensor is odd.
const ODD: f64 = 5.0;
/// Kinds of fewer tensors have nothing that is far from the others.
const LEAST: usize = 5;
/// Links under a map.
const LINKS: usize = 6;

/// A number of each tensor that is shown: its index and value.
pub(super) type Values = Vec<(usize, f64)>;

/// A map of `values` with what leads to its odd ones; or, where all are the same, words.
pub(super) fn block(
    name: &str,
    title: &str,
    scale: Scale,
    kinds: &Kinds,
    tensors: &[SurveyedTensor],
    values: &Values,
) -> Result<Option<Block>> {
    let Some((_, first)) = values.first() else { return Ok(None) };
    if values.iter().all(|(_, value)| value == first) {
        let all = if values.len() > 1 { "the same everywhere, " } else { "" };
        return Ok(Some(Block::Text(format!("{title}: {all}{}.", number::real(Some(*first))))));
    }
    let (figure, links) = map(name, title, scale, kinds, tensors, values)?;
    Ok(Some(Block::Figure(Box::new(figure), links)))
}

fn map(
    name: &str,
    title: &str,
    scale: Scale,
    kinds: &Kinds,
    tensors: &[SurveyedTensor],
    values: &Values,
) -> Result<(Figure, Vec<Link>)> {
    let placed = |value: f64| match scale {
        Scale::Linear => value,
        Scale::Log => value.log10(),
        Scale::Signed => value.asinh(),
    };
    // Less than that from the others is no oddity, however alike these are: of shares a few hundredths, else a third or so.
    let least = if scale == Scale::Linear { 0.01 } else { 0.06 };
    let placed = values.iter().map(|(tensor, value)| (*tensor, placed(*value))).collect();
    let scores = oddness(kinds, &placed, least);
    // Of those that share a cell, the one that is farthest from its kind is shown.
    let mut shown: Vec<(usize, usize)> = (0..values.len()).map(|i| (values[i].0, i)).collect();
    shown.sort_by(|a, b| {
        let place = |i: usize| kinds.places[values[i].0];
        place(a.1).cmp(&place(b.1)).then(scores[b.1].total_cmp(&scores[a.1])).then(a.0.cmp(&b.0))
    });
    shown.dedup_by_key(|(tensor, _)| kinds.places[*tensor]);
    let mut rows: Vec<usize> = shown.iter().map(|(tensor, _)| kinds.places[*tensor].0).collect();
    rows.sort_unstable();
    rows.dedup();
    let mut columns: Vec<usize> = shown.iter().map(|(tensor, _)| kinds.places[*tensor].1).collect();
    columns.sort_unstable();
    columns.dedup();
    let says = |tensor: usize, value: f64| {
        format!("{}: {}", safe(&tensors[tensor].entry.name, 160), number::real(Some(value)))
    };
    let cells: Vec<Cell> = shown
        .iter()
        .map(|&(tensor, i)| {
            let (row, column) = kinds.places[tensor];
            Cell {
                row: rows.binary_search(&row).unwrap_or(0),
                column: columns.binary_search(&column).unwrap_or(0),
                value: values[i].1,
                says: says(tensor, values[i].1),
                tensor,
                odd: scores[i] > ODD,
            }
        })
        .collect();
    let row_names: Vec<String> = rows.iter().map(|row| kinds.rows[*row].clone()).collect();
    let column_names: Vec<String> = columns.iter().map(|column| kinds.columns[*column].clone()).collect();
    let figure = Map { name, title, scale, columns: &column_names, rows: &row_names, cells: &cells }.draw()?;
    let mut odd: Vec<usize> = (0..values.len()).filter(|i| scores[*i] > ODD).collect();
    odd.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let link = |i: &usize| Link { tensor: values[*i].0, text: says(values[*i].0, values[*i].1) };
    Ok((figure, odd.iter().take(LINKS).map(link).collect()))
}

/// How far each value is from the median of its kind, in median absolute deviations, or in `least` where these are less.
fn oddness(kinds: &Kinds, values: &Values, least: f64) -> Vec<f64> {
    let mut by_kind: Vec<Vec<f64>> = vec![Vec::new(); kinds.rows.len()];
    values.iter().filter(|(_, v)| v.is_finite()).for_each(|(tensor, v)| by_kind[kinds.places[*tensor].0].push(*v));
    let spread: Vec<Option<(f64, f64)>> = by_kind
        .into_iter()
        .map(|mut values| {
            let middle = median(&mut values)?;
            let mut deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
            (values.len() >= LEAST).then_some((middle, median(&mut deviations)?.max(least)))
        })
        .collect();
    let score = |(tensor, value): &(usize, f64)| match spread[kinds.places[*tensor].0] {
        Some((middle, deviation)) if value.is_finite() => (value - middle).abs() / deviation,
        _ => 0.0,
    };
    values.iter().map(score).collect()
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_from_its_kind_is_odd() {
        let names: Vec<String> = (0..20).map(|i| format!("{}.{i}.w", if i % 2 == 0 { "a" } else { "b" })).collect();
        let kinds = Kinds::new(names.iter().map(|name| (name.as_str(), 1)));
        let value = |i: usize| if i == 7 { 9.0 } else { (i % 2) as f64 * 3.0 + 0.01 * (i % 5) as f64 };
        let values: Values = (0..20).map(|i| (i, value(i))).collect();
        let odd: Vec<usize> = (0..20).filter(|i| oddness(&kinds, &values, 0.01)[*i] > ODD).collect();
        assert_eq!(odd, [7]);
        let few: Values = values.into_iter().filter(|(i, _)| *i == 7 || *i == 5).collect();
        assert!(oddness(&kinds, &few, 0.01).iter().all(|score| *score == 0.0), "two are no kind to be far from");
        assert!(oddness(&kinds, &(0..20).map(|i| (i, f64::NAN)).collect(), 0.01).iter().all(|score| *score == 0.0));
    }
}
