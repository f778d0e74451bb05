//! Tables: sorted by what the address says (`sort=-size_bytes`), filtered by what it says (`q=…`), rows of 28 pixels.

use std::cmp::Ordering;

use leptos::prelude::*;

use crate::{
    app::App,
    format,
    rows::{Row, Rows},
};

/// How a column's values are shown.
#[derive(Clone, Copy)]
pub enum Show {
    Text,
    /// Cut to one line; whole as a tooltip.
    Code,
    Count,
    Bytes,
    Millis,
    /// Anything else. Sorted by the value of the column all the same.
    With(fn(App, Row<'_>) -> AnyView),
}

impl Show {
    fn is_number(self) -> bool {
        matches!(self, Show::Count | Show::Bytes | Show::Millis)
    }
}

#[derive(Clone, Copy)]
pub struct Column {
    pub key: &'static str,
    pub title: &'static str,
    pub show: Show,
}

pub const fn column(key: &'static str, title: &'static str, show: Show) -> Column {
    Column { key, title, show }
}

/// A table of the columns that the rows have; a server that does not have one of them just does not show it.
pub fn table(app: App, caption: &'static str, columns: &[Column], rows: &Rows) -> AnyView {
    let is_there = |column: &&Column| rows.column(column.key).is_some() || matches!(column.show, Show::With(_));
    let columns: Vec<Column> = columns.iter().filter(is_there).copied().collect();
    let route = app.route.get();
    let order = sorted(rows, route.value("sort"), route.value("q"));
    if order.is_empty() && !rows.is_empty() {
        return view! { <p class="empty">"Nothing matches the filter."</p> }.into_any();
    }
    let head = columns.iter().map(|column| heading(app, *column, route.value("sort"))).collect_view();
    let all: Vec<Row<'_>> = rows.iter().collect();
    let body = order.iter().map(|position| {
        let row = all[*position];
        let cells = columns.iter().map(|column| cell(app, row, *column)).collect_view();
        view! { <tr>{cells}</tr> }
    });
    let body = body.collect_view();
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label=caption>
            <table>
                <caption class="hidden">{caption}</caption>
                <thead>
                    <tr>{head}</tr>
                </thead>
                <tbody>{body}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn heading(app: App, column: Column, sort: &str) -> AnyView {
    let descends = sort.strip_prefix('-') == Some(column.key);
    let ascends = sort == column.key;
    let (aria, mark) = match (ascends, descends) {
        (true, _) => ("ascending", " ↑"),
        (_, true) => ("descending", " ↓"),
        _ => ("none", ""),
    };
    // Numbers are asked for the greatest first.
    let first_down = column.show.is_number();
    let next = match (ascends, descends) {
        (true, _) if first_down => String::new(),
        (true, _) => format!("-{}", column.key),
        (_, true) if first_down => column.key.to_owned(),
        (_, true) => String::new(),
        _ if first_down => format!("-{}", column.key),
        _ => column.key.to_owned(),
    };
    view! {
        <th scope="col" aria-sort=aria class:number=column.show.is_number()>
            <button class="heading" on:click=move |_| app.note("sort", next.clone())>
                {column.title}
                {mark}
            </button>
        </th>
    }
    .into_any()
}

fn cell(app: App, row: Row<'_>, column: Column) -> AnyView {
    let number = |text: fn(f64) -> String| {
        let text = row.number(column.key).map_or_else(|| row.text(column.key), text);
        view! { <td class="number">{text}</td> }.into_any()
    };
    match column.show {
        Show::Count => number(format::short),
        Show::Bytes => number(format::bytes),
        Show::Millis => number(format::millis),
        Show::Text => match row.get(column.key) {
            Some(text) => view! { <td>{format::one_line(text, 120)}</td> }.into_any(),
            None => view! { <td class="null">"–"</td> }.into_any(),
        },
        Show::Code => {
            let text = row.text(column.key);
            view! {
                <td class="code" title=text.clone()>
                    {format::one_line(&text, 160)}
                </td>
            }
            .into_any()
        }
        Show::With(show) => view! { <td>{show(app, row)}</td> }.into_any(),
    }
}

/// The rows to be shown, in order.
fn sorted(rows: &Rows, sort: &str, filter: &str) -> Vec<usize> {
    let filter = filter.to_lowercase();
    let matches = |position: &usize| {
        filter.is_empty() || rows.rows[*position].iter().flatten().any(|value| value.to_lowercase().contains(&filter))
    };
    let mut order: Vec<usize> = (0..rows.len()).filter(matches).collect();
    let (descending, key) = sort.strip_prefix('-').map_or((false, sort), |key| (true, key));
    if let Some(column) = rows.column(key) {
        order.sort_by(|a, b| {
            let order = compare(rows.rows[*a][column].as_deref(), rows.rows[*b][column].as_deref());
            if descending { order.reverse() } else { order }
        });
    }
    order
}

/// Numbers by size, everything else by letters, NULL last.
fn compare(a: Option<&str>, b: Option<&str>) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return b.is_some().cmp(&a.is_some()) };
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}

/// Any result: columns as they come, numbers to the right. `first` is the number of the first row.
pub fn plain(caption: String, rows: &Rows) -> AnyView {
    let numeric: Vec<bool> = (0..rows.columns.len()).map(|column| rows.is_numeric(column)).collect();
    let head = rows.columns.iter().zip(&numeric);
    let head = head.map(|(name, numeric)| view! { <th scope="col" class:number=*numeric>{name.clone()}</th> });
    let head = head.collect_view();
    let body = rows.rows.iter().map(|row| {
        let cells = row.iter().zip(&numeric).map(|(value, numeric)| match value {
            Some(text) if *numeric => view! { <td class="number">{text.clone()}</td> }.into_any(),
            Some(text) => {
                view! { <td title=(text.len() > 160).then(|| text.clone())>{format::one_line(text, 160)}</td> }
                    .into_any()
            }
            None => view! { <td class="null">"NULL"</td> }.into_any(),
        });
        view! { <tr>{cells.collect_view()}</tr> }
    });
    let body = body.collect_view();
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label=caption>
            <table class="plain">
                <thead>
                    <tr>{head}</tr>
                </thead>
                <tbody>{body}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// The field that filters the tables of a place.
pub fn filter(app: App, label: &'static str) -> AnyView {
    view! {
        <label class="filter">
            <span class="hidden">{label}</span>
            <input
                type="search"
                placeholder=label
                prop:value=move || app.route.read().value("q").to_owned()
                on:input:target=move |event| app.note("q", event.target().value())
            />
        </label>
    }
    .into_any()
}
