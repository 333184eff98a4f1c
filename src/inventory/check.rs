//! Validation of values: none can become an ssh option, a word of its own in a shell, or two lines in a log.
//!
//! The message of each error goes on from the key: `is not a duration`, `has a blank in it`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::diagnostic::ValueError;
use super::model::{HostKeyPolicy, MetadataStyle};

/// No login over any network is faster.
const SHORTEST_CONNECT_TIMEOUT: Duration = Duration::from_millis(100);

/// Bounds of a sampling period.
const SAMPLE_BOUNDS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(10);

/// The longest duration that makes sense anywhere in an inventory.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// A smaller spool would drop a batch for the next one.
const MIN_SPOOL_BYTES: u64 = 1 << 20;

/// Bounds of a batch's wait: long enough for one outage, and not unlimited.
const SPOOL_AGES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60 * 60)..=Duration::from_secs(3_660 * 24 * 60 * 60);

/// PostgreSQL cuts longer identifiers, which would then name another table.
const MAX_IDENTIFIER_CHARS: usize = 63;

/// A login name.
pub(super) fn user(text: &str) -> Result<String, ValueError> {
    let hint = "a login name is letters, digits, `.`, `_` and `-`";
    not_empty(text)?;
    first_char(text, &['-'], hint)?;
    allowed(text, 0, hint, is_word)?;
    Ok(text.to_owned())
}

/// Key exchange algorithms; `+`, `^` or `-` in front is legal, as the text is passed behind `KexAlgorithms=`.
pub(super) fn kex(text: &str) -> Result<String, ValueError> {
    let hint = "write algorithms as `ssh -Q kex` lists them, joined by commas without blanks";
    let names = text.strip_prefix(['+', '^', '-']).unwrap_or(text);
    let offset = text.len() - names.len();
    allowed(names, offset, hint, |c| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '-' | ','))?;
    if names.split(',').any(|name| name.is_empty() || name.starts_with('-')) {
        return Err(ValueError::new("has an empty place in its list", "a name is missing", hint));
    }
    Ok(text.to_owned())
}

/// Parses the policy for an unknown host key.
pub(super) fn host_key(text: &str) -> Result<HostKeyPolicy, ValueError> {
    let hint = "use \"strict\", or \"accept-new\" to add a host's key on first contact";
    match text {
        "strict" => Ok(HostKeyPolicy::Strict),
        "accept-new" => Ok(HostKeyPolicy::AcceptNew),
        "no" | "off" | "ask" | "yes" => Err(ValueError::new(
            format!("cannot be \"{text}\""),
            "not offered",
            match text {
                "yes" => "the strict check is called \"strict\"".to_owned(),
                "ask" => format!("nobody is there to be asked; {hint}"),
                _ => format!("without the check anybody on the way could answer as this host; {hint}"),
            },
        )),
        _ => Err(ValueError::new("is not a way to treat host keys", "not a way that is known", hint)),
    }
}

/// A file's path; a relative one is not yet completed.
pub(super) fn path(text: &str) -> Result<PathBuf, ValueError> {
    let hint = "write the path of a file; put `./` before a name that begins with `-`";
    not_empty(text)?;
    first_char(text, &['-'], hint)?;
    no_control(text)?;
    Ok(PathBuf::from(text))
}

/// A path as the inventory means it: relative to the folder of its file. `~/` stays for ssh to expand.
pub(super) fn file_path(text: &str, base: &Path) -> Result<PathBuf, ValueError> {
    let path = path(text)?;
    if path.starts_with("~") {
        return Ok(path);
    }
    let joined = base.join(path);
    // The inventory may have been named with a folder that begins so.
    if joined.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return Ok(Path::new(".").join(joined));
    }
    Ok(joined)
}

/// The program that answers.
pub(super) fn program(text: &str) -> Result<String, ValueError> {
    let hint = "write the program's name or full path, without arguments; letters, digits and `/._+-`";
    not_empty(text)?;
    first_char(text, &['-'], hint)?;
    allowed(text, 0, hint, |c| is_word(c) || matches!(c, '/' | '+'))?;
    Ok(text.to_owned())
}

/// A label's key or value.
pub(super) fn label(text: &str) -> Result<String, ValueError> {
    no_control(text)?;
    Ok(text.to_owned())
}

/// A duration in words such as `90s` or `1h 30m`: above zero, at most a day.
pub(super) fn duration(text: &str) -> Result<Duration, ValueError> {
    let hint = "write a number with its unit, as \"90s\", \"5m\" or \"1h 30m\"";
    let parsed = any_duration(text, hint)?;
    if parsed.is_zero() {
        return Err(ValueError::new("is zero", "must be above zero", hint));
    }
    if parsed > MAX_DURATION {
        return Err(ValueError::new("is above one day", "at most \"1day\"", hint));
    }
    Ok(parsed)
}

fn any_duration(text: &str, hint: &str) -> Result<Duration, ValueError> {
    humantime::parse_duration(text).map_err(|_| ValueError::new("is not a duration", "not a duration", hint))
}

/// Parses the time limit of connecting, which has to be below an interval of one second too.
pub(super) fn connect_timeout(text: &str) -> Result<Duration, ValueError> {
    let parsed = duration(text)?;
    if parsed < SHORTEST_CONNECT_TIMEOUT {
        let hint = "write \"100ms\" or more; the default is \"5s\"";
        return Err(ValueError::new("is below a tenth of a second", "at least \"100ms\"", hint));
    }
    Ok(parsed)
}

/// Parses the interval of samples; current boards renew the value ten times a second at most.
pub(super) fn sample(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == "off" {
        return Ok(None);
    }
    let hint = "write a duration from \"100ms\" to \"10s\", or \"off\"";
    let parsed = duration(text)?;
    if !SAMPLE_BOUNDS.contains(&parsed) || parsed.subsec_nanos() % 1_000_000 != 0 {
        return Err(ValueError::new("is out of bounds", "whole milliseconds, from 100ms to 10s", hint));
    }
    Ok(Some(parsed))
}

/// The timeline table: `name` or `schema.name`.
pub(super) fn table(text: &str) -> Result<String, ValueError> {
    let is_identifier = |part: &str| is_variable(part) && part.len() <= MAX_IDENTIFIER_CHARS;
    if text.split('.').count() <= 2 && text.split('.').all(is_identifier) {
        return Ok(text.to_owned());
    }
    let hint = "write `name` or `schema.name`: letters, digits and `_`, not beginning with a digit, at most 63 characters each";
    Err(ValueError::new("is not the name of a table", "not `name` or `schema.name`", hint))
}

/// Parses the style of the metadata.
pub(super) fn metadata(text: &str) -> Result<MetadataStyle, ValueError> {
    let styles = [("full", MetadataStyle::Full), ("slim", MetadataStyle::Slim)];
    one_of(text, &styles, "is an unknown style", "use \"full\" or \"slim\"")
}

/// Parses one of a few words.
pub(super) fn one_of<T: Copy>(
    text: &str,
    words: &[(&str, T)],
    message: &str,
    hint: &str,
) -> Result<T, ValueError> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| ValueError::new(message, "not known", hint))
}

/// Parses the size of the spool: bytes, or `KiB`, `MiB`, `GiB` of them.
pub(super) fn spool_size(text: &str) -> Result<u64, ValueError> {
    let hint = "write bytes with their unit, as \"512MiB\" or \"1GiB\"";
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: Option<u64> = match text.strip_prefix(digits).map(str::trim) {
        Some("") => Some(1),
        Some("KiB") => Some(1 << 10),
        Some("MiB") => Some(1 << 20),
        Some("GiB") => Some(1 << 30),
        _ => None,
    };
    let bytes = unit.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
    let bytes = bytes.filter(|bytes| i64::try_from(*bytes).is_ok());
    let bytes = bytes.ok_or_else(|| ValueError::new("is not a number of bytes", "not a size", hint))?;
    if bytes < MIN_SPOOL_BYTES {
        return Err(ValueError::new("is below 1 MiB", "at least \"1MiB\"", hint));
    }
    Ok(bytes)
}

/// The longest that a batch may wait in the spool.
pub(super) fn spool_age(text: &str) -> Result<Duration, ValueError> {
    let hint = "write a number with its unit, as \"12h\" or \"30d\"";
    let age = any_duration(text, hint)?;
    if !SPOOL_AGES.contains(&age) {
        return Err(ValueError::new("is out of bounds", "from \"1h\" to \"10years\"", hint));
    }
    Ok(age)
}

/// A database URL without a password in it.
pub(super) fn store_url(text: &str) -> Result<String, ValueError> {
    no_control(text)?;
    let postgres = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    if postgres.is_some_and(holds_password) {
        return Err(secret_in_file("has a password in it", "[store]"));
    }
    let sqlite = text.strip_prefix("sqlite:").is_some_and(|file| !file.is_empty());
    if sqlite || postgres.is_some_and(|rest| !rest.is_empty()) {
        return Ok(text.to_owned());
    }
    let hint = "write `sqlite:fleetwatt.db` or `postgres://user@host/database`";
    let message = "is not a database URL that fleetwatt knows";
    Err(ValueError::new(message, "unknown kind of database", hint).hiding())
}

/// Whether what follows `postgres://` holds a password, in its user part or as a parameter.
fn holds_password(rest: &str) -> bool {
    let in_user_part = rest.rsplit_once('@').is_some_and(|(user_part, _)| user_part.contains(':'));
    let parameters = rest.split_once('?').map_or("", |(_, parameters)| parameters).to_ascii_lowercase();
    in_user_part || parameters.split('&').any(|parameter| parameter.starts_with("password"))
}

/// The error of a secret in the file itself: says in which section to put where it is, never what it is.
pub(super) fn secret_in_file(message: &str, section: &str) -> ValueError {
    let hint = "take it out, change it if others could read the file, and say where it is by password_env, password_file or password_credential";
    ValueError::new(message, "a secret does not belong in this file", format!("{hint} in {section}")).hiding()
}

/// The error of a webhook's URL that stands in the file itself.
pub(super) fn webhook_in_file(message: &str) -> ValueError {
    ValueError::new(
        message,
        "whoever has this URL can send to it: it does not belong in this file",
        "take it out, make a new one if others could read the file, and say where it is by webhook_env, webhook_file or webhook_credential in [alerts]",
    )
    .hiding()
}

/// The name of the variable that holds `what`. The error does not repeat it: it may be the secret itself.
pub(super) fn environment_name(text: &str, what: &str, example: &str) -> Result<String, ValueError> {
    if is_variable(text) {
        return Ok(text.to_owned());
    }
    let hint =
        format!("write the name of the variable that holds the {what}, such as `{example}`, not the {what}");
    let message = "is not the name of an environment variable";
    Err(ValueError::new(message, "not a variable's name", hint).hiding())
}

fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name of a systemd credential.
pub(super) fn credential_name(text: &str) -> Result<String, ValueError> {
    let hint = "write the name that the unit gives to LoadCredential=, such as `db-password`";
    not_empty(text)?;
    first_char(text, &['-', '.'], hint)?;
    allowed(text, 0, hint, is_word)?;
    Ok(text.to_owned())
}

pub(super) const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

pub(super) fn not_empty(text: &str) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::new("is empty", "empty", "write a value, or take the key out"));
    }
    Ok(())
}

pub(super) fn first_char(text: &str, refused: &[char], hint: &str) -> Result<(), ValueError> {
    let Some(first) = text.chars().next().filter(|first| refused.contains(first)) else { return Ok(()) };
    let error = ValueError::new(format!("begins with `{first}`"), "not at the beginning", hint);
    Err(error.at(0..first.len_utf8()))
}

/// Every character of `text` is one of `good`; `offset` is where `text` stands in the value.
pub(super) fn allowed(
    text: &str,
    offset: usize,
    hint: &str,
    good: impl Fn(char) -> bool,
) -> Result<(), ValueError> {
    match text.char_indices().find(|(_, c)| !good(*c)) {
        Some((at, c)) => Err(bad_char(c, hint, offset + at..offset + at + c.len_utf8())),
        None => Ok(()),
    }
}

pub(super) fn bad_char(c: char, hint: &str, part: Range<usize>) -> ValueError {
    let shown = if c == ' ' { "a blank".to_owned() } else { format!("`{}`", c.escape_default()) };
    ValueError::new(format!("has {shown} in it"), "not allowed here", hint).at(part)
}

fn no_control(text: &str) -> Result<(), ValueError> {
    let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control()) else { return Ok(()) };
    let error = ValueError::new("has a control character in it", "a control character", "take it out");
    Err(error.at(at..at + c.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_become_an_option_or_a_shell_word_is_refused_everywhere() {
        for hostile in [
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "a$(b)",
            "a`b`",
            "a|b",
            "a&b",
            "a>b",
            "a\nb",
            "a\0b",
            "a'b",
            "a\"b",
            "",
        ] {
            assert!(user(hostile).is_err(), "user {hostile:?}");
            assert!(program(hostile).is_err(), "program {hostile:?}");
            assert!(kex(hostile).is_err(), "kex {hostile:?}");
        }
    }

    #[test]
    fn key_exchange_lists_may_add_move_or_remove() {
        for good in ["curve25519-sha256", "+curve25519-sha256@libssh.org,x", "^a", "-a"] {
            assert_eq!(kex(good).unwrap(), good);
        }
    }

    #[test]
    fn no_host_key_check_is_refused_with_the_reason() {
        assert!(host_key("no").unwrap_err().hint.contains("anybody on the way"));
    }

    #[test]
    fn a_connect_timeout_fits_below_an_interval_of_one_second() {
        assert_eq!(connect_timeout("800ms"), Ok(Duration::from_millis(800)));
        assert!(connect_timeout("99ms").is_err());
    }

    #[test]
    fn durations_of_zero_or_above_a_day_are_refused() {
        assert!(duration("0s").is_err());
        assert!(duration("25h").is_err());
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
    }

    #[test]
    fn a_password_in_a_url_is_a_secret_in_the_file() {
        for url in ["postgres://u:p@h/d", "postgresql://u:p@q@h/d", "postgres://u@h/d?sslmode=x&password=p"] {
            let error = store_url(url).unwrap_err();
            assert!(error.hint.contains("password_env"), "{url}");
        }
    }

    #[test]
    fn database_urls_without_a_password_are_taken() {
        for url in ["sqlite:fleetwatt.db", "postgres://u@192.168.132.222:5432/d", "postgresql:///d"] {
            assert_eq!(store_url(url).unwrap(), url);
        }
    }

    #[test]
    fn the_spools_size_is_bytes_with_a_unit_and_its_age_a_duration() {
        for (text, bytes) in
            [("1048576", 1 << 20), ("1024KiB", 1 << 20), ("5MiB", 5 << 20), ("2 GiB", 2 << 30)]
        {
            assert_eq!(spool_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "1GB", "1.5GiB", "-1GiB", "GiB", "1023KiB", "99999999999GiB", "9223372036854775808"] {
            assert!(spool_size(bad).is_err(), "{bad:?}");
        }
        assert_eq!(spool_age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for bad in ["", "30", "59m", "11years"] {
            assert!(spool_age(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_table_is_one_or_two_identifiers() {
        assert!(table("public.unified_timeline").is_ok());
        for bad in ["", "a.b.c", "1a", "a b", "a;drop", "a.", &"x".repeat(64)] {
            assert!(table(bad).is_err(), "{bad:?}");
        }
    }
}
