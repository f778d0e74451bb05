//! Charts, drawn by hand: a line small enough for a tile, a bar in a cell, a heat map.

use leptos::prelude::*;

use crate::{app::App, colour, format};

/// Values that a series remembers: ten minutes at one every five seconds.
const REMEMBERED: usize = 120;

/// Adds a value to a series of this page's memory.
pub fn remember(app: App, series: &str, value: f64) {
    app.series.update(|all| {
        let values = all.entry(series.to_owned()).or_default();
        if values.len() == REMEMBERED {
            values.remove(0);
        }
        values.push(value);
    });
}

pub fn remembered(app: App, series: &str) -> Vec<f64> {
    app.series.read().get(series).cloned().unwrap_or_default()
}

/// The rate per second of a counter that only grows, from its last two values; 0 over a restart.
pub fn rate(before: f64, after: f64, seconds: f64) -> f64 {
    if seconds > 0.0 && after >= before { (after - before) / seconds } else { 0.0 }
}

/// A line without axes; its numbers are said in words beside it.
pub fn sparkline(values: &[f64], label: String) -> AnyView {
    let (width, height) = (120.0, 28.0);
    let top = values.iter().copied().fold(0.0, f64::max).max(1e-9);
    let step = width / (REMEMBERED - 1) as f64;
    let start = width - step * (values.len().saturating_sub(1)) as f64;
    let point = |(position, value): (usize, &f64)| {
        format!("{:.1},{:.1}", start + step * position as f64, height - 2.0 - value / top * (height - 4.0))
    };
    let points: Vec<String> = values.iter().enumerate().map(point).collect();
    let area = format!("{start:.1},{height} {} {width},{height}", points.join(" "));
    view! {
        <svg class="spark" viewBox="0 0 120 28" preserveAspectRatio="none" role="img" aria-label=label>
            <polygon points=area />
            <polyline points=points.join(" ") />
        </svg>
    }
    .into_any()
}

/// A share of the greatest, as a bar behind nothing.
pub fn bar(share: f64) -> AnyView {
    let width = (share.clamp(0.0, 1.0) * 100.0).round();
    view! {
        <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
            <rect class="bar-back" width="100" height="8" />
            <rect class="bar-part" width=width height="8" />
        </svg>
    }
    .into_any()
}

/// Rows over time: `cells[row][column]`, coloured by viridis, with the amount said on each cell. `ends` are what is written
/// below the first and the last column.
pub fn heat(labels: &[String], times: &[String], ends: (&'static str, &'static str), cells: &[Vec<f64>]) -> AnyView {
    let (cell_width, cell_height, left) = (12.0, 16.0, 220.0);
    let top = cells.iter().flatten().copied().fold(0.0, f64::max).max(1e-9);
    let width = left + cell_width * times.len().max(1) as f64;
    let height = cell_height * labels.len() as f64 + 20.0;
    let rows = labels.iter().zip(cells).enumerate().map(|(row, (label, values))| {
        let y = cell_height * row as f64;
        let rects = values.iter().zip(times).enumerate().map(|(column, (value, time))| {
            let x = left + cell_width * column as f64;
            let said = format!("{label}, {time}: {}", format::short(*value));
            view! {
                <rect x=x y=y width=cell_width - 1.0 height=cell_height - 1.0 fill=colour::viridis((value / top).sqrt())>
                    <title>{said}</title>
                </rect>
            }
        });
        view! {
            <text x=left - 8.0 y=y + 12.0 text-anchor="end">{format::one_line(label, 32)}</text>
            {rects.collect_view()}
        }
    });
    let rows = rows.collect_view();
    let (first, last) = ends;
    let summary = format!(
        "Heat map of {} over {} moments; the most is {}",
        format::plural(labels.len(), "range"),
        times.len(),
        format::short(top)
    );
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Heat map">
            <svg class="heat" width=width height=height role="img" aria-label=summary>
                {rows}
                <text x=left y=height - 4.0>{first}</text>
                <text x=width y=height - 4.0 text-anchor="end">{last}</text>
            </svg>
        </div>
        <p class="legend">
            <span>"0"</span>
            <svg class="scale" viewBox="0 0 9 1" preserveAspectRatio="none" aria-hidden="true">
                {(0..9).map(|step| view! { <rect x=step width="1" height="1" fill=colour::viridis(f64::from(step) / 8.0) /> }).collect_view()}
            </svg>
            <span>{format::short(top)}</span>
        </p>
    }
    .into_any()
}
