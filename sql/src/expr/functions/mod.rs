//! The families of functions and operators. A new function is one `define!` in the file of its family; a new family is one
//! file and one line here.

mod arithmetic;
mod comparison;

use super::{aggregate, function::Registry};

pub(super) fn register(registry: &mut Registry) {
    comparison::register(registry);
    arithmetic::register(registry);
    aggregate::register(registry);
}
