//! A rate for each name: a table of globs.

use std::path::{Path, PathBuf};

use globset::GlobMatcher;
use toml::{Table, Value};

use crate::checkpoint::matcher;
use crate::{Error, Result, escape};

/// A rate for each tensor (or class of channels), by its name.
///
/// As a file it is TOML, names or globs (those of [`Selection`](crate::Selection)) on the left, rates on the right. A key
/// that is the whole name stands over globs. Keys need no quotes where TOML takes them as they are: `conv1.weight` is
/// `"conv1.weight"`.
///
/// ```
/// use secateur::prune::Rates;
///
/// let text = r#"
///     "layers.*.weight" = 0.5
///     "layers.0.weight" = "10%"
/// "#;
/// let rates = Rates::parse("rates.toml", text)?;
/// assert_eq!(rates.rate("layers.0.weight")?, Some(0.1));
/// assert_eq!(rates.rate("layers.7.weight")?, Some(0.5));
/// assert_eq!(rates.rate("head.weight")?, None);
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rates {
    file: PathBuf,
    rates: Vec<Rate>,
    may_match_nothing: bool,
}

#[derive(Clone, Debug)]
struct Rate {
    key: String,
    glob: GlobMatcher,
    rate: f64,
}

impl Rates {
    /// Reads a file of rates.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] where it is no regular file, larger than 16 MiB, no TOML, or has something else
    /// than rates of at least 0 and less than 1.
    pub fn read(path: &Path) -> Result<Self> {
        let text = crate::text::read(path, "a table of rates")?;
        Self::parse(path, &text)
    }

    /// Takes the text of a file of rates; `file` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Format`] as in [`Rates::read`].
    pub fn parse(file: impl Into<PathBuf>, text: &str) -> Result<Self> {
        let file = file.into();
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line =
                error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
            let at = line.map(|line| format!(" (line {line})")).unwrap_or_default();
            let message = escape(&error.message().replace('\n', ", "));
            Error::format(&file, format!("this is no TOML: {message}{at}; a line is \"GLOB\" = RATE"))
        })?;
        let mut rates = Vec::new();
        flatten(&file, "", table, &mut rates)?;
        rates.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(twice) = rates.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(Error::format(&file, format!("it has `{}` twice", escape(&twice[0].key))));
        }
        if rates.is_empty() {
            return Err(Error::format(&file, "it has no rates: a line is \"GLOB\" = RATE"));
        }
        Ok(Self { file, rates, may_match_nothing: false })
    }

    /// Keys may match nothing: one table serves several models.
    #[must_use]
    pub fn matching_any(mut self) -> Self {
        self.may_match_nothing = true;
        self
    }

    /// The rate of that name, or `None` where nothing in the table matches it.
    ///
    /// # Errors
    /// [`Error::Tensor`] where two globs say different rates.
    pub fn rate(&self, name: &str) -> Result<Option<f64>> {
        if let Ok(exact) = self.rates.binary_search_by(|rate| rate.key.as_str().cmp(name)) {
            return Ok(self.rates.get(exact).map(|rate| rate.rate));
        }
        let mut matching = self.rates.iter().filter(|rate| rate.glob.is_match(name));
        let Some(first) = matching.next() else { return Ok(None) };
        match matching.find(|other| other.rate != first.rate) {
            None => Ok(Some(first.rate)),
            Some(other) => {
                let told = |rate: &Rate| format!("`{}` = {}", escape(&rate.key), rate.rate);
                let message =
                    format!("two globs match it, {} and {}: give it a line of its own", told(first), told(other));
                Err(Error::tensor(&self.file, name, message))
            }
        }
    }

    /// Checks that every key is about one of `names`.
    ///
    /// # Errors
    /// [`Error::Format`] names the first key that is not, unless [matching nothing](Self::matching_any) is allowed.
    pub fn check<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        if self.may_match_nothing {
            return Ok(());
        }
        let mut waiting: Vec<&Rate> = self.rates.iter().collect();
        for name in names {
            waiting.retain(|rate| rate.key != name && !rate.glob.is_match(name));
        }
        let Some(first) = waiting.first() else { return Ok(()) };
        let message = format!("`{}` matches no name of the model (`*` matches any part of a name)", escape(&first.key));
        Err(Error::format(&self.file, message))
    }

    /// Why something without a rate stays as it is.
    pub(super) fn none(&self) -> String {
        format!("no rate in {}", self.file.display())
    }
}

/// Dotted keys and tables are names that TOML has taken apart.
fn flatten(file: &Path, prefix: &str, table: Table, rates: &mut Vec<Rate>) -> Result<()> {
    for (key, value) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        let rate = match value {
            Value::Table(inner) => {
                flatten(file, &key, inner, rates)?;
                continue;
            }
            Value::Float(rate) => Some(rate),
            Value::Integer(rate) => Some(rate as f64),
            Value::String(text) => parse_rate(&text).ok(),
            _ => None,
        };
        let Some(rate) = rate.filter(|rate| (0.0..1.0).contains(rate)) else {
            let message = format!("`{}`: a rate is at least 0 and less than 1, such as 0.3 or \"30%\"", escape(&key));
            return Err(Error::format(file, message));
        };
        let glob = matcher(&key).map_err(|error| Error::format(file, error.to_string()))?;
        rates.push(Rate { key, glob, rate: rate + 0.0 });
    }
    Ok(())
}

/// A share between 0 and 1 as text: `0.5` or `50%`.
///
/// ```
/// assert_eq!(secateur::prune::parse_rate("99.9%"), Ok(0.999));
/// assert!(secateur::prune::parse_rate("-0.5").is_err());
/// ```
///
/// # Errors
/// What is expected instead.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let wrong = || "expected a number between 0 and 1, such as 0.5 or 50%".to_owned();
    let (digits, exponent) = match text.strip_suffix('%') {
        Some(digits) => (digits, "e-2"),
        None => (text, ""),
    };
    // No sign, exponent, `inf` or `nan`.
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(wrong());
    }
    // 99.9% has to be the f64 nearest 0.999, which 99.9 / 100 is not.
    let rate: f64 = format!("{digits}{exponent}").parse().map_err(|_| wrong())?;
    if (0.0..=1.0).contains(&rate) { Ok(rate) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rates(text: &str) -> Result<Rates> {
        Rates::parse("r.toml", text)
    }

    #[test]
    fn exact_names_stand_over_globs() {
        let table =
            rates("'conv*' = 0.25\n'*.weight' = 0.25\n\"conv1.weight\" = \"50%\"\nfc.bias = 0\n[a.b]\n'c' = '0.1'")
                .expect("good rates");
        for (name, rate) in [
            ("conv1.weight", Some(0.5)),
            ("conv2.weight", Some(0.25)),
            ("fc.weight", Some(0.25)),
            ("fc.bias", Some(0.0)),
            ("a.b.c", Some(0.1)),
            ("fc.scale", None),
        ] {
            assert_eq!(table.rate(name).expect("no conflict"), rate, "{name}");
        }
        // A name with the signs of globs in it is still a name.
        let table = rates("'a[0]' = 0.1\n'a*' = 0.2").expect("good rates");
        assert_eq!(table.rate("a[0]").expect("exact"), Some(0.1));
        let error = table.rate("a0").expect_err("both match").to_string();
        assert!(error.contains("`a0`") && error.contains("`a*` = 0.2") && error.contains("`a[0]` = 0.1"), "{error}");
    }

    #[test]
    fn keys_that_match_nothing() {
        let table = rates("'a*' = 0.1\n'b' = 0.2").expect("good rates");
        assert!(table.check(["ab", "b"]).is_ok());
        let error = table.check(["b", "c"]).expect_err("nothing begins with a").to_string();
        assert!(error.starts_with("r.toml: `a*` matches no name"), "{error}");
        assert!(table.matching_any().check([]).is_ok());
    }

    #[test]
    fn what_is_no_table_of_rates() {
        for (text, part) in [
            ("", "no rates"),
            ("a", "no TOML"),
            ("\n'a' = 0.1\n'a' = 0.2", "line 3"),
            ("a.b = 0.1\n'a.b' = 0.2", "`a.b` twice"),
            ("a = 1", "less than 1"),
            ("a = 1.0", "less than 1"),
            ("a = -0.1", "`a`: a rate"),
            ("a = nan", "less than 1"),
            ("a = inf", "less than 1"),
            ("a = '100%'", "less than 1"),
            ("a = 'half'", "less than 1"),
            ("a = true", "less than 1"),
            ("a = [0.1]", "less than 1"),
            ("'[' = 0.1", "glob `[`"),
            ("\"\\u001b\" = 3", "\\u{1b}"),
        ] {
            let error = rates(text).expect_err(text).to_string();
            assert!(error.starts_with("r.toml: ") && error.contains(part), "{text}: {error}");
            assert!(!error.contains(['\n', '\u{1b}']), "{error}");
        }
    }

    #[test]
    fn rates_as_text() {
        for text in ["", "%", ".", "1.2.3", "-0", "+0.5", "1.01", "101%", "nan", "inf", "1e-3", "0,5", "50 %", "5%%"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}='\".*a-c0-9%\n ]{0,60}", any in "\\PC{0,40}", name in "\\PC{0,10}") {
            for text in [text, any] {
                if let Ok(rates) = rates(&text) {
                    let _ = rates.rate(&name);
                    let _ = rates.check([name.as_str()]);
                }
            }
        }
    }
}
