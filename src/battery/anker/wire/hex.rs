//! Hexadecimal digits, as frames are written down.

use std::fmt::Write as _;

/// Bytes as lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// The bytes that hexadecimal digits stand for; blanks and colons between them do not count. `None` if
/// anything else is in it, or if a digit is missing.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let mut digits = text.chars().filter(|c| !c.is_whitespace() && *c != ':').map(|c| c.to_digit(16));
    let mut bytes = Vec::with_capacity(text.len() / 2);
    while let Some(high) = digits.next() {
        let byte = high?.checked_mul(16)?.checked_add(digits.next()??)?;
        bytes.push(u8::try_from(byte).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_bytes_and_come_back() {
        assert_eq!(from_hex("ff 09:1F\n00").map(|bytes| to_hex(&bytes)), Some("ff091f00".to_owned()));
    }

    #[test]
    fn half_a_byte_or_another_letter_is_not_guessed() {
        assert_eq!((from_hex("ff0"), from_hex("fg")), (None, None));
    }
}
