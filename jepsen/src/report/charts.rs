//! Latency and throughput over time, with the faults shaded.

use maud::{Markup, html};

use super::{FaultSpan, Point, html::duration};
use crate::history::Outcome;

const WIDTH: f64 = 980.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const HEIGHT: f64 = 190.0;
const BOTTOM: f64 = 24.0;
const BUCKETS: usize = 160;

/// Operations of a short time.
#[derive(Clone, Default)]
struct Bucket {
    /// Sorted.
    latencies: Vec<u64>,
    ok: u64,
    fail: u64,
    info: u64,
}

/// What both curves share.
pub struct Charts<'a> {
    end_ns: u64,
    buckets: Vec<Bucket>,
    faults: &'a [FaultSpan],
}

impl<'a> Charts<'a> {
    pub fn new(points: &[Point], faults: &'a [FaultSpan]) -> Charts<'a> {
        let ends = points.iter().map(|point| point.end_ns).chain(faults.iter().map(|fault| fault.to_ns));
        let end_ns = ends.max().unwrap_or(0).max(1);
        let mut buckets = vec![Bucket::default(); BUCKETS];
        for point in points {
            let at = (point.end_ns as u128 * BUCKETS as u128 / (u128::from(end_ns) + 1)) as usize;
            let bucket = &mut buckets[at];
            match point.outcome {
                Outcome::Committed => {
                    bucket.ok += 1;
                    bucket.latencies.push(point.end_ns.saturating_sub(point.begin_ns));
                }
                Outcome::Aborted => bucket.fail += 1,
                Outcome::Unknown => bucket.info += 1,
            }
        }
        buckets.iter_mut().for_each(|bucket| bucket.latencies.sort_unstable());
        Charts { end_ns, buckets, faults }
    }

    /// Committed operations: median, 95 of 100, and the slowest, on a logarithmic scale.
    pub fn latency(&self) -> Markup {
        // The curves begin at the medians: a single fast operation does not stretch the scale.
        let quantiles =
            |quantile: f64| self.buckets.iter().filter_map(move |bucket| quantile_of(&bucket.latencies, quantile));
        let (Some(least), Some(most)) = (quantiles(0.5).min(), quantiles(1.0).max()) else {
            return html! { p.faint { "No operation committed." } };
        };
        let (low, high) = ((least.max(1) as f64).log10().floor(), (most.max(1) as f64).log10().ceil());
        let high = if high > low { high } else { low + 1.0 };
        let y = |ns: u64| TOP + HEIGHT * (1.0 - ((ns.max(1) as f64).log10() - low) / (high - low));
        let ticks = (low as i32..=high as i32).map(|power| 10u64.pow(power.max(0) as u32));
        html! {
            svg viewBox=(view_box()) role="img" aria-label="Latency over time" {
                (self.background())
                @for tick in ticks {
                    path.grid d=(format!("M {LEFT} {0} H {1}", y(tick), WIDTH - RIGHT)) {}
                    text.faint x=(LEFT - 8.0) y=(y(tick) + 4.0) text-anchor="end" { (whole(tick)) }
                }
                path.max d=(self.line(&y, 1.0)) {}
                path.p95 d=(self.line(&y, 0.95)) {}
                path.p50 d=(self.line(&y, 0.5)) {}
                (self.time_axis())
            }
        }
    }

    /// Operations per second by outcome, stacked.
    pub fn throughput(&self) -> Markup {
        let seconds = self.end_ns as f64 / 1e9 / BUCKETS as f64;
        let total = |bucket: &Bucket| (bucket.ok + bucket.fail + bucket.info) as f64 / seconds;
        let most = self.buckets.iter().map(total).fold(0.0, f64::max);
        let step = nice_step(most / 4.0);
        let top = (most / step).ceil().max(1.0) * step;
        let y = |rate: f64| TOP + HEIGHT * (1.0 - rate / top);
        let width = (WIDTH - LEFT - RIGHT) / BUCKETS as f64;
        html! {
            svg viewBox=(view_box()) role="img" aria-label="Throughput over time" {
                (self.background())
                @for tick in (0..=(top / step).round() as u32).map(|tick| f64::from(tick) * step) {
                    path.grid d=(format!("M {LEFT} {0} H {1}", y(tick), WIDTH - RIGHT)) {}
                    text.faint x=(LEFT - 8.0) y=(y(tick) + 4.0) text-anchor="end" { (plain(tick)) }
                }
                @for (at, bucket) in self.buckets.iter().enumerate() {
                    @let x = LEFT + at as f64 * width;
                    @let (ok, fail, info) = (bucket.ok as f64, bucket.fail as f64, bucket.info as f64);
                    (bar("ok", x, width, y(ok / seconds), y(0.0)))
                    (bar("fail", x, width, y((ok + fail) / seconds), y(ok / seconds)))
                    (bar("info", x, width, y((ok + fail + info) / seconds), y((ok + fail) / seconds)))
                }
                (self.time_axis())
            }
        }
    }

    fn x(&self, ns: u64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * ns.min(self.end_ns) as f64 / self.end_ns as f64
    }

    /// A line through a quantile of each bucket; where nothing committed there is a gap.
    fn line(&self, y: &impl Fn(u64) -> f64, quantile: f64) -> String {
        let (mut path, mut is_down) = (String::new(), false);
        for (at, bucket) in self.buckets.iter().enumerate() {
            let Some(value) = quantile_of(&bucket.latencies, quantile) else {
                is_down = false;
                continue;
            };
            let x = LEFT + (WIDTH - LEFT - RIGHT) * (at as f64 + 0.5) / BUCKETS as f64;
            // A point alone shows as a short stroke.
            let command = if is_down { "L".to_owned() } else { format!("M {:.1} {:.1} L", x - 1.0, y(value)) };
            path.push_str(&format!("{command} {x:.1} {:.1} ", y(value)));
            is_down = true;
        }
        path
    }

    fn background(&self) -> Markup {
        // Names of faults that begin close together would cover each other.
        let mut free = LEFT;
        let mut faults: Vec<&FaultSpan> = self.faults.iter().collect();
        faults.sort_by_key(|fault| fault.from_ns);
        html! {
            @for fault in faults {
                @let (from, to) = (self.x(fault.from_ns), self.x(fault.to_ns));
                g {
                    title { (fault.name) ": " (duration(fault.from_ns)) " … " (duration(fault.to_ns)) }
                    rect.fault x=(from) y=(TOP) width=((to - from).max(1.5)) height=(HEIGHT) {}
                    @if from >= free {
                        text.fault-name x=(from) y=(TOP - 6.0) { (fault.name) }
                        ({ free = from + 12.0 + 6.2 * fault.name.chars().count() as f64; "" })
                    }
                }
            }
        }
    }

    fn time_axis(&self) -> Markup {
        let seconds = self.end_ns as f64 / 1e9;
        let step = nice_step(seconds / 8.0);
        let ticks = (0..=(seconds / step).floor() as u32).map(|tick| f64::from(tick) * step);
        html! {
            path.grid d=(format!("M {LEFT} {0} H {1}", TOP + HEIGHT, WIDTH - RIGHT)) {}
            @for tick in ticks {
                @let x = self.x((tick * 1e9) as u64);
                path.grid d=(format!("M {x} {} v 4", TOP + HEIGHT)) {}
                text.faint x=(x) y=(TOP + HEIGHT + 18.0) text-anchor="middle" { (plain(tick)) " s" }
            }
        }
    }
}

/// The value that a part of the sorted values does not exceed.
pub fn quantile_of(sorted: &[u64], quantile: f64) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(last as f64 * quantile).round() as usize])
}

fn bar(class: &str, x: f64, width: f64, top: f64, bottom: f64) -> Markup {
    let height = bottom - top;
    html! {
        @if height > 0.0 {
            rect class=(class) x=(format!("{x:.2}")) y=(format!("{top:.2}")) width=(format!("{:.2}", width * 0.86))
                height=(format!("{height:.2}")) {}
        }
    }
}

fn view_box() -> String {
    format!("0 0 {WIDTH} {}", TOP + HEIGHT + BOTTOM)
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least).unwrap_or(power)
}

fn plain(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A power of ten nanoseconds.
fn whole(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", ns / 1_000_000_000),
    }
}
