//! The names in an inventory that are those of the account's vendor.

/// The section of the account: its key, how it is written, and where its keys are.
pub(super) const KEY: &str = "solix";
pub(super) const SECTION: &str = "[solix]";
pub(super) const TITLE: &str = "in [solix]";
/// The section's meaning, for the manual page.
pub(super) const HELP: &str = "The battery stations of an Anker Solix account.";
/// Other names that people use for the section.
pub(super) const SYNONYMS: &[&str] = &["anker", "anker_solix", "battery"];

/// The meaning of `country`, for the manual page, and what to do about a wrong one.
pub(super) const COUNTRY_HELP: &str = "The country that the Anker app is set to.";
pub(super) const COUNTRY_HINT: &str =
    "write the two letters of the country that the Anker app is set to, as \"US\" or \"DE\"";

/// The environment variables of the existing installation.
pub(super) const USER_VARIABLE: &str = "ANKER_USER";
pub(super) const PASSWORD_VARIABLE: &str = "ANKER_PASS";
