//! Numbers with their nouns.

/// `1 host`, `2 hosts`.
pub(crate) fn counted(n: impl TryInto<u64>, one: &str, several: &str) -> String {
    let n: u64 = n.try_into().unwrap_or(u64::MAX);
    format!("{n} {}", if n == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_the_others_are_not() {
        let texts = [0_usize, 1, 2].map(|n| counted(n, "host", "hosts"));
        assert_eq!(texts, ["0 hosts", "1 host", "2 hosts"]);
    }
}
