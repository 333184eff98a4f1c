//! Where secrets come from: `<name>_env`, `<name>_file` or `<name>_credential`.

use super::check;
use super::diagnostic::ValueError;
use super::location::Spanned;
use super::model::SecretSource;
use super::section::Section;

/// Reads where a secret comes from: of `<name>_env`, `<name>_file` and `<name>_credential`, at most one.
pub(super) fn read_secret(
    section: &mut Section<'_, '_>,
    name: &str,
    what: &str,
    example: &str,
) -> Option<SecretSource> {
    let base = section.input.base;
    let sources = [
        section.parsed(&format!("{name}_env"), |text| {
            check::environment_name(text, what, example).map(SecretSource::Env)
        }),
        section.parsed(&format!("{name}_file"), |text| check::file_path(text, base).map(SecretSource::File)),
        section.parsed(&format!("{name}_credential"), |text| {
            check::credential_name(text).map(SecretSource::Credential)
        }),
    ];
    only_one(section, sources, &format!("the {what} is said to come from two places"))
}

/// The first of the sources as they stand in the file; each further one is an error.
pub(super) fn only_one(
    section: &mut Section<'_, '_>,
    sources: [Option<Spanned<SecretSource>>; 3],
    message: &str,
) -> Option<SecretSource> {
    let mut sources: Vec<_> = sources.into_iter().flatten().collect();
    sources.sort_by(|a, b| a.location.cmp(&b.location));
    let mut sources = sources.into_iter();
    let first = sources.next();
    for other in sources {
        section.report(other.location, ValueError::new(message, "a second place", "keep one of them"));
    }
    first.map(|first| first.value)
}
