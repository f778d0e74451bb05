//! The families of functions and operators. A new function is one `define!` in the file of its family; a new family is one
//! file and one line here.

mod arithmetic;
mod array;
mod comparison;
mod datetime;
mod extract;
mod format;
mod format_number;
mod math;
mod md5;
mod pattern;
pub mod system;
mod text;
mod text_quote;

pub use text_quote::{quote_ident, quote_literal};

use super::{aggregate, function::Registry};

pub(super) fn register(registry: &mut Registry) {
    comparison::register(registry);
    arithmetic::register(registry);
    math::register(registry);
    text::register(registry);
    pattern::register(registry);
    datetime::register(registry);
    array::register(registry);
    system::register(registry);
    aggregate::register(registry);
}

/// Signatures made at registration live as long as the registry.
fn leak(signature: String) -> &'static str {
    Box::leak(signature.into_boxed_str())
}

#[cfg(test)]
mod extremes_test;
