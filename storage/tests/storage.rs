//! The tests of this crate that use it from outside, in one binary.

mod engine;
mod simulation;
mod world;
