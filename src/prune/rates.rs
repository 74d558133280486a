//! A rate for each tensor, by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result, Selection, escape};

/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Rates by globs over names, as a TOML file says them:
///
/// ```toml
/// "conv*.weight" = 0.3
/// "conv1.weight" = 0          # an exact name wins over globs
/// "fc?.weight" = "80%"
/// ```
///
/// Globs are those of [`Selection`]. What matches nothing is an error, and so are two globs that give one tensor different
/// rates. Tensors without a rate are left as they are.
#[derive(Clone, Debug)]
pub struct Rates {
    path: PathBuf,
    rates: Vec<(String, f64, Selection)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rate {
    Whole(i64),
    Share(f64),
    Text(String),
}

impl Rates {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`Error::Format`] where it is no TOML of globs and rates, each at least 0 and less
    /// than 1.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        let meta = std::fs::metadata(path).map_err(failed)?;
        if !meta.is_file() || meta.len() > MAX_BYTES {
            return Err(Error::format(path, "this is no file of rates, which are a few lines of TOML"));
        }
        Self::parse(path, &std::fs::read_to_string(path).map_err(failed)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong = |what: String| Error::format(path, what);
        let table: BTreeMap<String, Rate> = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            wrong(format!("line {line}: {}: write lines such as \"conv*.weight\" = 0.3", escape(error.message())))
        })?;
        let mut rates = Vec::with_capacity(table.len());
        for (glob, rate) in table {
            let percent = |text: &str| Some(text.trim().strip_suffix('%')?.trim().parse::<f64>().ok()? / 100.0);
            let rate = match rate {
                Rate::Whole(rate) => Some(rate as f64),
                Rate::Share(rate) => Some(rate),
                Rate::Text(text) => percent(&text).or_else(|| text.trim().parse().ok()),
            };
            let Some(rate) = rate.filter(|rate| (0.0..1.0).contains(rate)) else {
                return Err(wrong(format!("`{}`: a rate is at least 0 and less than 1", escape(&glob))));
            };
            let selection = Selection::new(std::slice::from_ref(&glob), &[])?;
            rates.push((glob, rate, selection));
        }
        if rates.is_empty() {
            return Err(wrong("no rates in it: write lines such as \"conv*.weight\" = 0.3".to_owned()));
        }
        Ok(Self { path: path.to_owned(), rates })
    }

    /// The rates of those of `names` that have one.
    ///
    /// # Errors
    /// [`Error::Format`] where a glob matches none of them, or two give one of them different rates.
    pub fn of<'a>(&self, names: &[&'a str]) -> Result<BTreeMap<&'a str, f64>> {
        let wrong = |what: String| Err(Error::format(&self.path, what));
        let mut used = vec![false; self.rates.len()];
        let mut found = BTreeMap::new();
        for name in names {
            let matching: Vec<usize> = (0..self.rates.len()).filter(|i| self.rates[*i].2.includes(name)).collect();
            matching.iter().for_each(|i| used[*i] = true);
            let exact = self.rates.iter().position(|(glob, ..)| glob == name);
            exact.into_iter().for_each(|i| used[i] = true);
            let chosen = exact.or_else(|| matching.first().copied());
            let Some((glob, rate, _)) = chosen.map(|i| &self.rates[i]) else { continue };
            let other = matching.iter().map(|i| &self.rates[*i]).find(|(_, other, _)| exact.is_none() && other != rate);
            if let Some((other, ..)) = other {
                let (glob, other, name) = (escape(glob), escape(other), escape(name));
                return wrong(format!("`{glob}` and `{other}` give `{name}` different rates: name it itself"));
            }
            found.insert(*name, *rate);
        }
        match used.iter().position(|used| !used) {
            Some(unused) => wrong(format!("`{}` matches nothing that can be cut", escape(&self.rates[unused].0))),
            None => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, names: &[&str]) -> Result<Vec<(String, f64)>, String> {
        let rates = Rates::parse(Path::new("rates.toml"), text).map_err(|e| e.to_string())?;
        let found = rates.of(names).map_err(|e| e.to_string())?;
        Ok(found.into_iter().map(|(name, rate)| (name.to_owned(), rate)).collect())
    }

    #[test]
    fn exact_names_win_and_globs_must_agree() {
        let names = ["conv1.weight", "conv2.weight", "fc.weight"];
        let found = of("\"conv*\" = 0.3\n\"conv1.weight\" = 0\n\"*2*\" = \"30%\"", &names);
        assert_eq!(found, Ok(vec![("conv1.weight".to_owned(), 0.0), ("conv2.weight".to_owned(), 0.3)]));
        for (text, part) in [
            ("", "no rates"),
            ("\"*\" = 1.0", "less than 1"),
            ("\"*\" = -0.1", "less than 1"),
            ("\"*\" = nan", "less than 1"),
            ("\"*\" = \"x\"", "less than 1"),
            ("\n\"*\" = [1]", "line 2"),
            ("a = ", "line 1"),
            ("\"[\" = 0.5", "glob"),
            ("\"gone\" = 0.5", "matches nothing"),
            ("\"conv*\" = 0.3\n\"*1.weight\" = 0.4", "different rates"),
        ] {
            let error = of(text, &names).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        // A name that is no glob.
        assert!(of("\"a[0]\" = 0.5", &["a[0]"]).is_ok());
    }
}
