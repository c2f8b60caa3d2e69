//! The map, by axis.
mod loads;
