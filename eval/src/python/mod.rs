//! Python's behaviour where a task's numbers hang on it: its random numbers, its literals, how it writes values, its regular
//! expressions.

pub(crate) mod literal;
pub(crate) mod pattern;
pub(crate) mod random;
pub(crate) mod text;
