//! Source paths: whether they belong to the application, and their short names.

use crate::Failure;

/// Whether a path from the compiler does not belong to the application. Such a path is in the
/// standard library, a package of a registry or a git checkout, or it is empty.
///
/// ```
/// use worker_sentry_symbols::is_foreign;
/// assert!(is_foreign("/home/ci/.cargo/registry/src/index.crates.io-1949/serde-1.0.0/src/lib.rs"));
/// assert!(is_foreign("/rustc/0123456789abcdef/library/core/src/option.rs"));
/// assert!(!is_foreign("/home/ci/app/src/lib.rs"));
/// ```
pub fn is_foreign(path: &str) -> bool {
    path.is_empty() || known(path).is_some()
}

/// The short name of a path in a folder whose place differs from machine to machine.
fn known(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    if let Some(rest) = path.strip_prefix("/rustc/") {
        let inside = rest.split_once('/').map_or("", |(_, inside)| inside);
        return Some(format!("rust/{inside}"));
    }
    if let Some((_, inside)) = path.split_once("/lib/rustlib/src/rust/") {
        return Some(format!("rust/{inside}"));
    }
    if let Some(inside) = path.strip_prefix("/rust/deps/") {
        return Some(inside.to_owned());
    }
    // registry/src/INDEX/PACKAGE-VERSION/… and a distribution's or a vendored copy
    if let Some((_, rest)) = path.split_once("/registry/src/") {
        let inside = rest.split_once('/').map_or(rest, |(_, inside)| inside);
        return Some(inside.to_owned());
    }
    // git/checkouts/NAME-HASH/REVISION/…
    if let Some((_, rest)) = path.split_once("/git/checkouts/") {
        let (name, inside) = rest.split_once('/').unwrap_or((rest, ""));
        let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
        return Some(format!("{name}/{inside}"));
    }
    None
}

/// The rules by which paths are shortened.
///
/// ```
/// use worker_sentry_symbols::Paths;
/// let mut paths = Paths::new(["/home/ci/app".to_owned()]);
/// assert_eq!(paths.short("/home/ci/app/src/lib.rs"), "src/lib.rs");
/// paths.map("/home/ci/shared=shared").unwrap();
/// assert_eq!(paths.short("/home/ci/shared/lib.rs"), "shared/lib.rs");
/// assert_eq!(
///     paths.short("/home/ci/.cargo/registry/src/index.crates.io-1949/url-2.5.0/src/lib.rs"),
///     "url-2.5.0/src/lib.rs",
/// );
/// ```
#[derive(Debug, Clone, Default)]
pub struct Paths {
    /// Prefix and replacement, those of the user first.
    maps: Vec<(String, String)>,
    roots: Vec<String>,
}

impl Paths {
    /// Makes the default rules. The names of the folders `roots` are left out of paths: see
    /// [`Symbols::roots`](crate::Symbols::roots).
    pub fn new(roots: impl IntoIterator<Item = String>) -> Self {
        let mut roots: Vec<String> = roots.into_iter().collect();
        // The longest prefix that fits is the nearest root.
        roots.sort_by_key(|root| std::cmp::Reverse(root.len()));
        Paths {
            maps: Vec::new(),
            roots,
        }
    }

    /// Adds a rule of the user, `FROM=TO`: paths below the folder FROM are shown
    /// below TO, which may be empty. The first rule that fits is used. Rules of the user come
    /// before the default rules.
    ///
    /// Fails if `rule` has no `=`, or no text before it.
    pub fn map(&mut self, rule: &str) -> Result<(), Failure> {
        match rule.split_once('=') {
            Some((from, to)) if !from.is_empty() => {
                self.maps.push((from.to_owned(), to.to_owned()));
                Ok(())
            }
            _ => Err(Failure::new(
                format!("--map {rule} has no FROM=TO"),
                "write it as --map /home/ci/app=app",
            )),
        }
    }

    /// The short form of a path.
    pub fn short(&self, path: &str) -> String {
        for (from, to) in &self.maps {
            if let Some(rest) = below(path, from) {
                return match (to.is_empty(), rest.is_empty()) {
                    (true, _) => rest.to_owned(),
                    (false, true) => to.clone(),
                    (false, false) => format!("{}/{rest}", to.trim_end_matches('/')),
                };
            }
        }
        if let Some(short) = known(path) {
            return short;
        }
        let inside = self.roots.iter().find_map(|root| below(path, root));
        inside.unwrap_or(path).to_owned()
    }
}

/// The part of `path` below `folder`.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let folder = folder.trim_end_matches('/');
    let rest = path.strip_prefix(folder)?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(""),
    }
}
