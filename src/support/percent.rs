//! Percent encoding, as in URLs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes a text, so that it can be any part of a URL.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Decodes a text. `None` if a `%` is not followed by two hexadecimal digits, or the result is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let is_code = |code: &str| code.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let are_codes = text.split('%').skip(1).all(is_code);
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    are_codes.then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_and_a_broken_code_is_refused() {
        let text = "a/b %@:ä~-_.";
        assert_eq!(encode(text), "a%2Fb%20%25%40%3A%C3%A4~-_.");
        assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        for broken in ["%", "%4", "%4g", "a%", "%%41", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
