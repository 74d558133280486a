//! Placing kept values by bits, in memory.

/// How many of the first `columns` bits of each of the rows in `mask` are set. Bits beyond them mean nothing.
pub(super) fn count(mask: &[u8], columns: usize) -> usize {
    let ones = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
    if columns.is_multiple_of(8) {
        return ones(mask);
    }
    let rows = mask.chunks_exact(columns.div_ceil(8));
    rows.map(|row| row.split_last().map_or(0, |(last, full)| ones(full) + ones(&[last & valid(columns)]))).sum()
}

/// Puts `values`, elements of `width` bytes (1, 2, 4 or 8), where the bits of `mask` are set, and zeros elsewhere. `dense`
/// is whole rows of `columns` elements; there are as many values as [`count`] says.
pub(super) fn place(mask: &[u8], columns: usize, width: usize, values: &[u8], dense: &mut [u8]) {
    match width {
        1 => place_elements::<1>(mask, columns, values, dense),
        2 => place_elements::<2>(mask, columns, values, dense),
        4 => place_elements::<4>(mask, columns, values, dense),
        _ => place_elements::<8>(mask, columns, values, dense),
    }
}

fn place_elements<const WIDTH: usize>(mask: &[u8], columns: usize, values: &[u8], dense: &mut [u8]) {
    dense.fill(0);
    let (dense, _) = dense.as_chunks_mut::<WIDTH>();
    let mut values = values.as_chunks::<WIDTH>().0.iter();
    for (bits, row) in mask.chunks_exact(columns.div_ceil(8)).zip(dense.chunks_exact_mut(columns)) {
        // The last eight may be fewer: bits beyond them are passed over, as no element is there.
        for (&byte, eight) in bits.iter().zip(row.chunks_mut(8)) {
            let mut left = byte;
            if eight.len() < 8 {
                left &= valid(columns);
            }
            while left != 0 {
                if let (Some(element), Some(value)) = (eight.get_mut(left.trailing_zeros() as usize), values.next()) {
                    *element = *value;
                }
                left &= left - 1;
            }
        }
    }
}

/// The bits of a row's last byte that stand for elements.
fn valid(columns: usize) -> u8 {
    match columns % 8 {
        0 => u8::MAX,
        rest => (1 << rest) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_count_from_the_lowest() {
        // Columns 0 and 9 of the first row, 1 of the second; bits of columns 10 to 15 mean nothing.
        let mask = [0b0000_0001, 0b1111_1110, 0b0000_0010, 0b1000_0000];
        assert_eq!(count(&mask, 10), 3);
        let mut dense = [9; 20];
        place(&mask, 10, 1, &[1, 2, 3], &mut dense);
        assert_eq!(dense, [1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn every_width_places_as_the_definition_says(
            (columns, mask) in (1usize..30, 0usize..5).prop_flat_map(|(columns, rows)| {
                (Just(columns), prop::collection::vec(any::<u8>(), rows * columns.div_ceil(8)))
            }),
            width in prop::sample::select(vec![1usize, 2, 4, 8]),
        ) {
            let stride = columns.div_ceil(8);
            let rows = mask.len() / stride;
            let set = |row: usize, column: usize| mask[row * stride + column / 8] >> (column % 8) & 1 == 1;
            let mut expected = Vec::new();
            let mut values = Vec::new();
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let element: Vec<u8> = (0..width).map(|i| (values.len() + i) as u8 | 0x80).collect();
                expected.extend(if set(row, column) { element.clone() } else { vec![0; width] });
                values.extend(if set(row, column) { element } else { vec![] });
            }
            prop_assert_eq!(count(&mask, columns) * width, values.len());
            let mut dense = vec![1; expected.len()];
            place(&mask, columns, width, &values, &mut dense);
            prop_assert_eq!(dense, expected);
        }
    }
}
