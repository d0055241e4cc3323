//! Documents and values: BSON becomes a value, a value becomes BSON, and where one does not fit the other, the error names the
//! field.
//!
//! Decoding goes down level by level, so how deep and how much is bounded here ([`NestingLimits`]); raw access is not.

mod decode;
mod encode;
mod nesting;
mod path;
mod probe;
mod same_type;
#[cfg(test)]
mod tests;
mod tracked;

pub(crate) use decode::{check_nesting, decode, decode_owned, decode_tree, decode_value, not_a_tree};
pub(crate) use encode::cannot_encode;
pub(crate) use nesting::{NestingLimits, is_within};
