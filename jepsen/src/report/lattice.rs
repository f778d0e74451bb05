//! The isolation levels as a drawing: which hold, which are violated.

use maud::{Markup, html};

use crate::check::{Level, Verdict};

const WIDTH: f64 = 150.0;
const HEIGHT: f64 = 38.0;
const COLUMN: f64 = 168.0;

/// Column, and height in rows.
fn place(level: Level) -> (f64, f64) {
    match level {
        Level::ReadUncommitted => (0.0, 1.0),
        Level::ReadCommitted => (1.0, 1.0),
        Level::MonotonicAtomicView => (2.0, 1.0),
        Level::RepeatableRead => (3.0, 0.0),
        Level::SnapshotIsolation => (3.0, 2.0),
        Level::Serializable => (4.0, 0.0),
        Level::StrongSessionSnapshotIsolation => (4.0, 2.0),
        Level::StrongSessionSerializable => (5.0, 0.0),
        Level::StrongSnapshotIsolation => (5.0, 2.0),
        Level::StrictSerializable => (6.0, 1.0),
    }
}

pub fn drawing(verdict: &Verdict) -> Markup {
    let corner = |level: Level| {
        let (column, row) = place(level);
        (8.0 + column * COLUMN, 8.0 + row * (HEIGHT + 12.0))
    };
    let total = (8.0 + 6.0 * COLUMN + WIDTH + 8.0, 2.0 * (HEIGHT + 12.0) + HEIGHT + 16.0);
    let view = format!("0 0 {} {}", total.0, total.1);
    html! {
        svg viewBox=(view) role="img" aria-label="Isolation levels" {
            @for level in Level::ALL {
                @let (x, y) = corner(level);
                @for weaker in level.directly_implies() {
                    @let (from, at) = corner(*weaker);
                    @let (left, right) = (from + WIDTH, x);
                    @let (begin, end) = (at + HEIGHT / 2.0, y + HEIGHT / 2.0);
                    @let bend = f64::midpoint(left, right);
                    path.grid d=(format!("M {left} {begin} C {bend} {begin}, {bend} {end}, {right} {end}")) {}
                }
            }
            @for level in Level::ALL {
                @let (x, y) = corner(level);
                @let is_violated = verdict.weakest_violated.iter().any(|weakest| level.implies(*weakest));
                @let promised = if level == verdict.model { " promised" } else { "" };
                rect class=(format!("{}{promised}", if is_violated { "broken" } else { "holds" }))
                    x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx="7" {}
                @let lines = lines(level);
                @for (at, line) in lines.iter().enumerate() {
                    @let middle = y + HEIGHT / 2.0 + 4.0 + 14.0 * (at as f64 - (lines.len() - 1) as f64 / 2.0);
                    text x=(x + WIDTH / 2.0) y=(middle) text-anchor="middle"
                        font-weight=(if level == verdict.model { "600" } else { "400" }) { (line) }
                }
            }
        }
    }
}

/// Long names in two lines.
fn lines(level: Level) -> Vec<&'static str> {
    match level {
        Level::StrongSessionSnapshotIsolation => vec!["strong-session-", "snapshot-isolation"],
        Level::StrongSnapshotIsolation => vec!["strong-", "snapshot-isolation"],
        Level::StrongSessionSerializable => vec!["strong-session-", "serializable"],
        other => vec![other.name()],
    }
}
