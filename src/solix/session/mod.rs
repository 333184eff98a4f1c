//! When and what is asked, and what follows from the answers.
