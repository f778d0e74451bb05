//! What the page *Consistency* knows of a check without a browser: what is to be run, its SQL before anything is sent, and
//! how to tell of operations and anomalies. Running and judging are `consistency`'s, the same code as `locus jepsen`'s.

pub mod sample;
pub mod settings;
pub mod words;

pub use settings::Settings;
