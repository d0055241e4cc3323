//! A MongoDB driver that blocks.
