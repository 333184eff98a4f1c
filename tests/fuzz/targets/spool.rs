//! Whatever lies in a spool, reading it ends with rows or with the word that it is damaged.

#![no_main]

use fleetwatt::store::n_rows_of_payload;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    if let Some(n_rows) = n_rows_of_payload(payload) {
        // A row has at least its five keys.
        assert!(n_rows < 1 << 26);
    }
});
