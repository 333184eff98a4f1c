//! The REST interface: one call, its result, its pace.
