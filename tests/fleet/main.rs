//! The test fleet.

fn main() {}
