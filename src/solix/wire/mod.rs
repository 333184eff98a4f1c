//! Frames and envelopes to values, and back. Pure.
