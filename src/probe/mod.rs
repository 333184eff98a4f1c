//! The tools that are run on hosts, a folder each: the exact commands, and the pure parser of their answers.

pub mod nvidia_smi;

pub use nvidia_smi::simulated;
