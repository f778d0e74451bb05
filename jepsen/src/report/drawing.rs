//! A cycle as a drawing: one row an operation in the order of time, arrows down on the right, arrows up on the left.

use maud::{Markup, PreEscaped, html};

use super::html::duration;
use crate::check::{Anomaly, Hop};

const WIDTH: f64 = 980.0;
const GUTTER: f64 = 150.0;
const ROW: f64 = 92.0;
const BOX: f64 = 74.0;
/// Characters of a transaction's steps that fit into a row.
const STEPS_MAX: usize = 88;

/// The drawing inside of a page.
pub fn cycle(anomaly: &Anomaly) -> Markup {
    svg(anomaly, None)
}

/// The drawing as a file of its own.
pub fn file(anomaly: &Anomaly) -> String {
    svg(anomaly, Some(include_str!("style.css"))).into_string()
}

fn svg(anomaly: &Anomaly, style: Option<&str>) -> Markup {
    let hops = &anomaly.cycle;
    let height = ROW * hops.len() as f64 + 8.0;
    // Rows in the order of time; `rows[at]` is the row of the operation `at` of the cycle.
    let mut order: Vec<usize> = (0..hops.len()).collect();
    order.sort_by_key(|at| (hops[*at].begin_ns, hops[*at].operation));
    let mut rows = vec![0; hops.len()];
    order.iter().enumerate().for_each(|(row, at)| rows[*at] = row);
    let label = format!("{}: a cycle of {} operations", anomaly.kind, hops.len());
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height)
            role="img" aria-label=(label) {
            @if let Some(style) = style {
                style { (PreEscaped(style)) (PreEscaped("svg { background: var(--paper); }")) }
            }
            @for (at, hop) in hops.iter().enumerate() { (row(hops, hop, at, rows[at])) }
            @for (at, hop) in hops.iter().enumerate() { (arrow(hop, rows[at], rows[(at + 1) % hops.len()])) }
        }
    }
}

/// A box with the operation's name, its steps, and when it ran.
fn row(hops: &[Hop], hop: &Hop, at: usize, row: usize) -> Markup {
    let first = hops.iter().map(|hop| hop.begin_ns).min().unwrap_or(0);
    let last = hops.iter().filter_map(|hop| hop.end_ns).max().unwrap_or(first).max(first + 1);
    let (top, inner) = (ROW * row as f64 + 8.0, WIDTH - 2.0 * GUTTER - 24.0);
    let x = |time: u64| GUTTER + 12.0 + inner * (time.min(last) - first) as f64 / (last - first) as f64;
    let (begin, end) = (x(hop.begin_ns), hop.end_ns.map_or(GUTTER + 12.0 + inner, x));
    let took = hop.end_ns.map_or("nobody knows whether it ended".to_owned(), |end| {
        format!(
            "{} after the first, took {}",
            duration(hop.begin_ns - first),
            duration(end.saturating_sub(hop.begin_ns))
        )
    });
    let mut steps: String = hop.steps.chars().take(STEPS_MAX).collect();
    if steps.len() < hop.steps.len() {
        steps.push('…');
    }
    html! {
        g {
            title { (hop.steps) }
            rect.box x=(GUTTER) y=(top) width=(WIDTH - 2.0 * GUTTER) height=(BOX) rx="7" {}
            text x=(GUTTER + 12.0) y=(top + 21.0) {
                tspan font-weight="600" { "T" (at + 1) }
                tspan.faint dx="10" { "operation " (hop.operation) ", process " (hop.process) ", " (took) }
            }
            text.mono x=(GUTTER + 12.0) y=(top + 43.0) { (steps) }
            rect.track x=(GUTTER + 12.0) y=(top + 57.0) width=(inner) height="5" rx="2.5" {}
            rect.bar x=(begin) y=(top + 57.0) width=((end - begin).max(4.0)) height="5" rx="2.5" {}
        }
    }
}

/// From one row to another: the longer the way, the further out.
fn arrow(hop: &Hop, from: usize, to: usize) -> Markup {
    let down = to > from;
    let (side, edge) = if down { (1.0, WIDTH - GUTTER) } else { (-1.0, GUTTER) };
    let bulge = (40.0 + 24.0 * from.abs_diff(to) as f64).min(GUTTER - 66.0) * side;
    // Leaving below the middle and arriving above it keeps opposite arrows apart.
    let y = |row: usize, shift: f64| ROW * row as f64 + 8.0 + BOX / 2.0 + shift;
    let (begin, end) = if down { (y(from, 10.0), y(to, -10.0)) } else { (y(from, -10.0), y(to, 10.0)) };
    let tip = edge + 9.0 * side;
    let path = format!("M {edge} {begin} C {out} {begin}, {out} {end}, {tip} {end}", out = edge + bulge * 1.3);
    let head = format!("{edge},{end} {tip},{} {tip},{}", end - 4.5, end + 4.5);
    let class = hop.edge.family();
    let (x, anchor) = (edge + bulge + 6.0 * side, if down { "start" } else { "end" });
    let middle = f64::midpoint(begin, end);
    let key: String = hop.key.chars().take(8).collect();
    html! {
        g {
            title { (hop.because) }
            path class=(format!("edge {class}")) d=(path) {}
            polygon class=(format!("tip {class}")) points=(head) {}
            text class=(class) x=(x) y=(middle + 1.0) text-anchor=(anchor) font-weight="600" { (hop.edge.name()) }
            @if !key.is_empty() {
                text.faint x=(x) y=(middle + 16.0) text-anchor=(anchor) { "key " (key) }
            }
        }
    }
}
