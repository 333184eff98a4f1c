//! Whatever is written in an inventory, reading it ends with a fleet or with faults that can be shown.

#![no_main]

use std::io;
use std::path::{Path, PathBuf};

use fleetwatt::inventory::{Files, load};
use libfuzzer_sys::fuzz_target;

struct OneFile<'a>(&'a str);

impl Files for OneFile<'_> {
    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![pattern.to_owned()])
    }
}

fuzz_target!(|text: &str| {
    if let Err(faults) = load(Path::new("fleet.toml"), &OneFile(text)) {
        assert!(!faults.render(true).is_empty());
    }
});
