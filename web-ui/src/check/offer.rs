//! The workloads that the page offers: nine of the twenty of `locus jepsen`. Each kind of history costs everybody who opens the
//! page about 4 KB of a first load that may be 500, so these are few: what finds most, and what shares its history with it.

use std::sync::Arc;

use consistency::workload::{
    Parameters, Workload,
    bank::Bank,
    list_append::{ListAppend, Temper},
    predicate::Predicate,
    register::Register,
    scenario::{Recorded, Scenario},
    set::{Set, Variant},
};

pub const NAMES: [&str; 9] =
    ["list-append", "bank", "register", "set", "predicate", "savepoints", "ambiguous-commit", "set-by-index", "ddl"];

/// As `consistency::workload::by_name`, for the few.
pub fn workload(name: &str, parameters: &Parameters) -> Option<Arc<dyn Workload>> {
    fn record(scenario: impl Scenario, parameters: &Parameters) -> Option<Arc<dyn Workload>> {
        Some(Arc::new(Recorded::new(scenario, parameters.isolation)))
    }
    let lists = |temper| record(ListAppend::new(parameters, temper), parameters);
    let set = |variant| record(Set::new(parameters, variant), parameters);
    match name {
        "list-append" => lists(Temper::Calm),
        "savepoints" => lists(Temper::Undoing),
        "ambiguous-commit" => lists(Temper::Impatient),
        "set" => set(Variant::Table),
        "set-by-index" => set(Variant::Index),
        "ddl" => set(Variant::ChangingSchema),
        "bank" => record(Bank::new(parameters), parameters),
        "register" => record(Register::new(parameters), parameters),
        "predicate" => record(Predicate::new(parameters), parameters),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use consistency::workload::ABOUT;

    use super::*;

    #[test]
    fn all_that_is_offered_can_be_run_and_is_told_of() {
        for name in NAMES {
            assert!(workload(name, &Parameters::default()).is_some(), "{name}");
            assert!(ABOUT.iter().any(|about| about.name == name), "{name}");
        }
        assert!(workload("queue", &Parameters::default()).is_none());
    }
}
