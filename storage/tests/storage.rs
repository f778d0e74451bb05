//! The tests of this crate that use it from outside, in one binary.

mod engine;
mod nodes;
mod range;
mod simulation;
mod world;
