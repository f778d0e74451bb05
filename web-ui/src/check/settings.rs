//! What a check is to do. All of it is in the address.

use std::time::Duration;

use consistency::workload::{ABOUT, About, Isolation, Parameters, Shape};

use crate::route::Route;

pub const CLIENTS_MAX: u32 = 16;
pub const SECONDS_MAX: u32 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub workload: &'static About,
    pub isolation: Isolation,
    /// Whether the tables are cut into ranges, and rows found through an index. What is cut stays so: ranges are never merged.
    pub shape: Shape,
    pub clients: u32,
    pub seconds: u32,
}

impl Settings {
    /// What the address does not say, or says wrongly, is as it is by default.
    pub fn of(route: &Route) -> Settings {
        let named = |name: &str| ABOUT.iter().find(|about| about.name == name);
        let number = |name: &str, default: u32, most: u32| route.value(name).parse().unwrap_or(default).clamp(1, most);
        Settings {
            workload: named(route.value("workload")).or_else(|| named("list-append")).unwrap_or(&ABOUT[0]),
            isolation: route.value("isolation").parse().unwrap_or(Isolation::Serializable),
            shape: route.value("rows").parse().unwrap_or(Shape::OneRange),
            clients: number("clients", 4, CLIENTS_MAX),
            seconds: number("seconds", 5, SECONDS_MAX),
        }
    }

    pub fn parameters(&self) -> Parameters {
        let Settings { isolation, shape, clients, .. } = *self;
        Parameters { isolation, shape, clients, timeout: Duration::from_secs(10) }
    }

    /// The name of a file for the history.
    pub fn file(&self) -> String {
        format!("history-{}.edn", self.workload.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Page;

    #[test]
    fn the_address_says_what_to_run() {
        let route = Route::parse(
            "/consistency",
            "workload=bank&isolation=read-committed&rows=many-ranges&clients=99&seconds=x",
        );
        let settings = Settings::of(&route);
        assert_eq!((settings.workload.name, settings.isolation), ("bank", Isolation::ReadCommitted));
        assert_eq!((settings.shape, settings.clients, settings.seconds), (Shape::ManyRanges, CLIENTS_MAX, 5));
        assert_eq!(settings.file(), "history-bank.edn");
    }

    #[test]
    fn without_an_address_there_is_a_default() {
        let settings = Settings::of(&Route::to(Page::Consistency).with("workload", "no such"));
        assert_eq!((settings.workload.name, settings.isolation), ("list-append", Isolation::Serializable));
        assert_eq!(settings.shape, Shape::OneRange, "nothing is left behind unasked");
    }
}
