//! Which tensors of a checkpoint are meant.

use crate::{Error, Result, escape};
use globset::{GlobBuilder, GlobMatcher};

/// A glob may be this long, in bytes, and have this many `{`: globset panics where the expression it makes is too large.
const MAX_GLOB_BYTES: usize = 1024;
const MAX_BRACES: usize = 32;

/// Tensors chosen by globs over their whole names; the default is every tensor.
///
/// `*` matches any characters, `.` and `/` among them; `?` one; `[ab]`, `[a-z]` and `[!a]` one of (or none of) a set;
/// `{a,b}` either; `\` takes the next character literally. `?` and sets match one byte, which is one character in ASCII.
///
/// ```
/// use secateur::checkpoint::Selection;
///
/// let selection = Selection::new(&["layers.*.weight".into()], &["layers.[0-1].*".into()])?;
/// assert!(selection.includes("layers.12.mlp.up.weight"));
/// assert!(!selection.includes("layers.1.mlp.up.weight"), "skipped");
/// assert!(!selection.includes("layers.12.mlp.up.bias"), "not chosen");
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Selection {
    only: Vec<GlobMatcher>,
    skip: Vec<GlobMatcher>,
}

impl Selection {
    /// The tensors that match any glob of `only` (all, if there is none) and none of `skip`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] names the glob that is malformed, longer than 1024 bytes, has more than 32 `{`, or has other
    /// than ASCII characters beside a `[`.
    pub fn new(only: &[String], skip: &[String]) -> Result<Self> {
        let compile = |globs: &[String]| globs.iter().map(|glob| matcher(glob)).collect::<Result<_>>();
        Ok(Self { only: compile(only)?, skip: compile(skip)? })
    }

    /// Whether the tensor of that name is meant.
    pub fn includes(&self, name: &str) -> bool {
        (self.only.is_empty() || matches(&self.only, name)) && !self.skips(name)
    }

    /// Whether a glob of `skip` leaves out the tensor of that name.
    pub fn skips(&self, name: &str) -> bool {
        matches(&self.skip, name)
    }
}

fn matches(globs: &[GlobMatcher], name: &str) -> bool {
    globs.iter().any(|glob| glob.is_match(name))
}

/// The one meaning of a glob over names.
///
/// # Errors
/// [`Error::Usage`] names the glob, as in [`Selection::new`].
pub(crate) fn matcher(glob: &str) -> Result<GlobMatcher> {
    let bad = |why: &str| {
        let shown: String = escape(glob).chars().take(80).collect();
        Error::Usage(format!(
            "glob `{shown}`: {why} (quote it for the shell; `\\` before `[`, `{{` or `*` makes it literal)"
        ))
    };
    if glob.len() > MAX_GLOB_BYTES {
        return Err(bad("longer than 1024 bytes"));
    }
    if glob.bytes().filter(|&b| b == b'{').count() > MAX_BRACES {
        return Err(bad("more than 32 braces"));
    }
    if glob.contains('[') && !glob.is_ascii() {
        return Err(bad("a set works on bytes, so beside it only ASCII is allowed"));
    }
    let built = GlobBuilder::new(glob).literal_separator(false).backslash_escape(true).empty_alternates(true).build();
    built.map(|glob| glob.compile_matcher()).map_err(|error| bad(&error.kind().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn selects(only: &[&str], skip: &[&str], name: &str) -> bool {
        let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(only), &owned(skip)).expect("good globs").includes(name)
    }

    #[test]
    fn globs_match_whole_names() {
        let cases = [
            ("*", "", true),
            ("*", "a/b.c", true),
            ("", "", true),
            ("", "a", false),
            ("conv", "conv1", false),
            ("conv?", "conv1", true),
            ("conv?", "conv10", false),
            ("a?b", "a.b", true),
            ("a?b", "a/b", true),
            ("*.weight", "model.layers.0.weight", true),
            ("*.weight", ".weight", true),
            ("*.weight", "a/b.weight", true),
            ("*.weight", "weight", false),
            ("*weight", "a.weight.0", false),
            ("layers.[12].*", "layers.2.w", true),
            ("layers.[12].*", "layers.12.w", false),
            ("layers.[!12].*", "layers.3.w", true),
            ("{q,k}_proj", "k_proj", true),
            ("{q,k}_proj", "v_proj", false),
            ("w{,.bias}", "w", true),
            (r"a\[0\]", "a[0]", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("*", "new\nline", true),
            ("poids.*", "poids.été", true),
            ("W", "w", false),
        ];
        for (glob, name, expected) in cases {
            assert_eq!(selects(&[glob], &[], name), expected, "{glob} on {name}");
        }
    }

    #[test]
    fn skip_wins_and_nothing_chosen_is_everything() {
        assert!(Selection::default().includes("any.thing"));
        assert!(!selects(&[], &["*.bias"], "a.bias"));
        assert!(selects(&[], &["*.bias"], "a.weight"));
        assert!(!selects(&["a*"], &["*a"], "a"));
        assert!(selects(&["a", "b"], &[], "b"));
        let selection = Selection::new(&["a".into()], &["b*".into()]).expect("good globs");
        assert!(selection.skips("bc") && !selection.skips("a") && !selection.skips("c"));
    }

    #[test]
    fn bad_globs_are_named() {
        let (long, deep) = ("*".repeat(2000), format!("{}a{}", "{".repeat(33), "}".repeat(33)));
        for glob in ["[", "a[z-a]", "{a", "a}", "\\", "[é]", &long, &deep] {
            let error = Selection::new(&[], &[glob.to_owned()]).expect_err(glob);
            assert!(matches!(error, Error::Usage(_)), "{error:?}");
            assert!(error.to_string().contains(&format!("glob `{}", &glob[..1])), "{error}");
        }
    }

    #[test]
    fn the_largest_globs_compile() {
        let nested = format!("{}a{}", "{".repeat(32), "}".repeat(32));
        for glob in ["*".repeat(1024), "?".repeat(1024), "é".repeat(512), "[!-~]".repeat(204), nested] {
            assert!(Selection::new(&[glob], &[]).is_ok());
        }
    }

    proptest! {
        #[test]
        fn no_glob_panics(glob in "[]\\[{}*?\\\\!^,a-c/.é-]{0,40}", any in "\\PC{0,20}", name in "\\PC*") {
            for glob in [glob, any] {
                if let Ok(selection) = Selection::new(&[glob], &[]) {
                    selection.includes(&name);
                }
            }
        }
    }
}
