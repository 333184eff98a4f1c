//! Where secrets come from: `<name>_env`, `<name>_file` or `<name>_credential`.

use std::path::{Path, PathBuf};

use super::check;
use super::diagnostic::ValueError;
use super::location::Spanned;
use super::model::SecretSource;
use super::section::Section;

impl Section<'_, '_> {
    /// Reads where a secret comes from. `env_key` is the first of its keys.
    pub(super) fn secret(
        &mut self,
        env_key: &str,
        what: &str,
        example: &str,
    ) -> Option<Spanned<SecretSource>> {
        let env = |text: &str| check::environment_name(text, what, example);
        let name = env_key.trim_end_matches("_env");
        self.source(name, &format!("the {what}"), env, check::file_path, check::credential_name)
    }

    /// The first of the three as they stand in the file; each further one is an error.
    pub(super) fn source(
        &mut self,
        name: &str,
        what: &str,
        env: impl Fn(&str) -> Result<String, ValueError>,
        file: fn(&str, &Path) -> Result<PathBuf, ValueError>,
        credential: fn(&str) -> Result<String, ValueError>,
    ) -> Option<Spanned<SecretSource>> {
        let base = self.input.base;
        let mut sources: Vec<_> = [
            self.parsed(&format!("{name}_env"), |text| env(text).map(SecretSource::Env)),
            self.parsed(&format!("{name}_file"), |text| file(text, base).map(SecretSource::File)),
            self.parsed(&format!("{name}_credential"), |text| credential(text).map(SecretSource::Credential)),
        ]
        .into_iter()
        .flatten()
        .collect();
        sources.sort_by(|a, b| a.location.cmp(&b.location));
        let mut sources = sources.into_iter();
        let first = sources.next();
        for other in sources {
            let message = format!("{what} is said to come from two places");
            self.report(other.location, ValueError::new(message, "a second place", "keep one of them"));
        }
        first
    }
}
