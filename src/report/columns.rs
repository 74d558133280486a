//! The columns that tables are made of, and what each shows of an entry.

use super::{number, text};
use crate::error::escape;
use crate::stats::{Entry, Grouping, Options, Statistics};

/// A column. The order of [`all`] is the order on the page; [`Column::importance`] says which stay where not all fit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    Name,
    Group,
    Dtype,
    Shape,
    Count,
    Nan,
    Inf,
    Zeros,
    Mean,
    Variance,
    Skewness,
    Kurtosis,
    Min,
    Max,
    /// The quantile asked for at this place, and its probability.
    Quantile(usize, f64),
    Histogram,
}

/// Every column that can be shown for these options.
pub(super) fn all(options: &Options) -> Vec<Column> {
    use Column::*;
    let mut columns = vec![Name];
    if options.by != Grouping::Tensor {
        columns.push(Group);
    }
    columns.extend([Dtype, Shape, Count, Nan, Inf, Zeros, Mean, Variance, Skewness, Kurtosis, Min, Max]);
    columns.extend(options.quantiles.iter().enumerate().map(|(index, &probability)| Quantile(index, probability)));
    if options.histogram.is_some() {
        columns.push(Histogram);
    }
    columns
}

/// Places of the columns that these rows call for: `nan` and `inf` only where there are any.
pub(super) fn called_for(columns: &[Column], rows: &[Row]) -> Vec<usize> {
    let wanted = |index: &usize| match columns[*index] {
        Column::Nan => rows.iter().any(|row| row.nan > 0),
        Column::Inf => rows.iter().any(|row| row.inf > 0),
        _ => true,
    };
    (0..columns.len()).filter(wanted).collect()
}

impl Column {
    pub(super) fn title(&self) -> String {
        match self {
            Self::Name => "name".to_owned(),
            Self::Group => "group".to_owned(),
            Self::Dtype => "dtype".to_owned(),
            Self::Shape => "shape".to_owned(),
            Self::Count => "count".to_owned(),
            Self::Nan => "nan".to_owned(),
            Self::Inf => "inf".to_owned(),
            Self::Zeros => "zeros".to_owned(),
            Self::Mean => "mean".to_owned(),
            Self::Variance => "variance".to_owned(),
            Self::Skewness => "skewness".to_owned(),
            Self::Kurtosis => "kurtosis".to_owned(),
            Self::Min => "min".to_owned(),
            Self::Max => "max".to_owned(),
            Self::Quantile(_, probability) => format!("q{probability}"),
            Self::Histogram => "histogram".to_owned(),
        }
    }

    /// Text reads from the left, numbers line up at the right.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Name | Self::Dtype | Self::Shape | Self::Histogram)
    }

    /// Cells that it takes in most models, for rows that are yet to come.
    pub(super) fn usual_width(&self) -> usize {
        match self {
            Self::Name => 24,
            Self::Group | Self::Mean | Self::Variance | Self::Min | Self::Max | Self::Quantile(..) => 9,
            Self::Dtype | Self::Count => 5,
            Self::Shape | Self::Nan | Self::Inf | Self::Histogram => 0,
            Self::Zeros => 6,
            Self::Skewness | Self::Kurtosis => 8,
        }
    }

    /// Lower stays longer: which group it is, what was asked for, its variance, what is wrong with it, then the rest.
    pub(super) fn importance(&self) -> u8 {
        match self {
            Self::Name => 0,
            Self::Group => 1,
            Self::Quantile(..) => 2,
            Self::Histogram => 3,
            Self::Variance => 4,
            Self::Nan => 5,
            Self::Inf => 6,
            Self::Mean => 7,
            Self::Kurtosis => 8,
            Self::Skewness => 9,
            Self::Count => 10,
            Self::Dtype => 11,
            Self::Shape => 12,
            Self::Zeros => 13,
            Self::Min => 14,
            Self::Max => 15,
        }
    }
}

/// One line of a table: a cell for each of [`all`]'s columns.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) nan: u64,
    pub(super) inf: u64,
}

impl Row {
    /// The row of an entry; histograms take at most `histogram_width` cells.
    pub(super) fn of_entry(columns: &[Column], entry: &Entry, histogram_width: usize) -> Self {
        Self::of(columns, &entry.statistics, histogram_width, |column| match column {
            Column::Name => escape(&entry.name),
            Column::Group => entry.group.map_or(number::UNDEFINED.to_owned(), |group| group.to_string()),
            Column::Dtype => entry.dtype.to_string(),
            _ => number::shape(&entry.shape),
        })
    }

    /// The row of the whole.
    pub(super) fn of_total(columns: &[Column], total: &Statistics, histogram_width: usize) -> Self {
        Self::of(columns, total, histogram_width, |column| match column {
            Column::Name => "total".to_owned(),
            _ => String::new(),
        })
    }

    fn of(columns: &[Column], s: &Statistics, histogram_width: usize, label: impl Fn(&Column) -> String) -> Self {
        let cell = |column: &Column| match column {
            Column::Name | Column::Group | Column::Dtype | Column::Shape => label(column),
            Column::Count => number::count(s.count),
            Column::Nan => number::count(s.nan),
            Column::Inf => number::count(s.inf),
            Column::Zeros => s.zeros.map_or(number::UNDEFINED.to_owned(), |zeros| number::percent(zeros, s.count)),
            Column::Mean => number::real(s.mean),
            Column::Variance => number::real(s.variance),
            Column::Skewness => number::shape_measure(s.skewness),
            Column::Kurtosis => number::shape_measure(s.kurtosis),
            Column::Min => number::real(s.min),
            Column::Max => number::real(s.max),
            Column::Quantile(index, _) => {
                number::real(s.quantiles.as_ref().and_then(|quantiles| quantiles.0.get(*index)?.1))
            }
            Column::Histogram => match &s.histogram {
                Some(Some(histogram)) => text::blocks(histogram, histogram_width),
                _ => number::UNDEFINED.to_owned(),
            },
        };
        Self { cells: columns.iter().map(cell).collect(), nan: s.nan, inf: s.inf }
    }

    /// What is not finite, in words, where the columns shown do not tell it.
    pub(super) fn untold(&self, nan_shown: bool, inf_shown: bool) -> Option<String> {
        ((self.nan > 0 && !nan_shown) || (self.inf > 0 && !inf_shown))
            .then(|| format!("{} NaN, {} inf", number::grouped(self.nan), number::grouped(self.inf)))
    }

    /// Bytes held by the cells, roughly.
    pub(super) fn held_bytes(&self) -> usize {
        self.cells.iter().map(|cell| cell.len() + size_of::<String>()).sum()
    }
}
