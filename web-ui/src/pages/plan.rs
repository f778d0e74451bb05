//! A plan as a tree: what each node took, and under it what it asked of each range.

use leptos::prelude::*;

use crate::{
    format,
    parts::{chart::bar, icon::status},
    plan::{Node, Plan, RangeWork, Took, parse},
    rows::Rows,
};

/// Width of one step to the right, in pixels.
const STEP: usize = 16;

/// Whether a result is what EXPLAIN brings.
pub fn is_plan(rows: &Rows) -> bool {
    rows.columns == ["QUERY PLAN"]
}

pub fn plan(rows: &Rows) -> AnyView {
    let plan = parse(rows.rows.iter().filter_map(|row| row.first()?.as_deref()));
    let was_run = plan.nodes.iter().any(|node| node.took.is_some());
    // Times are compared with the longest of a node without what is below it.
    let longest = (0..plan.nodes.len()).filter_map(|position| plan.own_millis(position)).fold(0.0, f64::max);
    let body = (0..plan.nodes.len()).map(|position| node_rows(&plan, position, was_run, longest)).collect_view();
    let head = was_run.then(|| {
        let figures = ["With inputs", "Rows", "Loops", "Scanned", "Requests"];
        let figures = figures.map(|title| view! { <th scope="col" class="number">{title}</th> }).collect_view();
        view! {
            <thead>
                <tr>
                    <th scope="col">"Node"</th>
                    <th scope="col" colspan="2">"Own time"</th>
                    {figures}
                </tr>
            </thead>
        }
    });
    let summary = plan.summary.iter().map(|(name, value)| view! { <dt>{name.clone()}</dt><dd>{value.clone()}</dd> });
    let summary = summary.collect_view();
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Plan">
            <table class="plain plan">
                {head}
                <tbody>{body}</tbody>
            </table>
        </div>
        <dl class="figures">{summary}</dl>
    }
    .into_any()
}

fn node_rows(plan: &Plan, position: usize, was_run: bool, longest: f64) -> AnyView {
    let node = &plan.nodes[position];
    let notes = node.notes.iter().map(|note| view! { <p class="note">{note.clone()}</p> }).collect_view();
    let ranges = node.ranges.iter().map(|work| range_row(node, work, longest)).collect_view();
    let indent = format!("{}px", 12 + node.depth * STEP);
    let figures = was_run.then(|| node_figures(node, plan.own_millis(position), longest));
    view! {
        <tr class="plan-node">
            <td style:padding-left=indent>
                <b>{node.title.clone()}</b>
                {node.is_never_executed.then(|| view! { " " {status("info", "Not reached")} })}
                {notes}
            </td>
            {figures}
        </tr>
        {ranges}
    }
    .into_any()
}

fn node_figures(node: &Node, own_millis: Option<f64>, longest: f64) -> AnyView {
    let scanned = |of: fn(&RangeWork) -> f64| {
        (!node.ranges.is_empty()).then(|| format::count(node.ranges.iter().map(of).sum::<f64>()))
    };
    let of_took = |of: fn(Took) -> f64| node.took.map(|took| format::count(of(took)));
    view! {
        {time(own_millis, longest)}
        {number(node.took.and_then(|took| took.total_millis()).map(format::millis))}
        {number(of_took(|took| took.rows * took.loops))}
        {number(of_took(|took| took.loops))}
        {number(scanned(|work| work.scanned))}
        {number(scanned(|work| work.requests))}
    }
    .into_any()
}

fn range_row(node: &Node, work: &RangeWork, longest: f64) -> AnyView {
    let indent = format!("{}px", 12 + (node.depth + 1) * STEP);
    view! {
        <tr class="plan-range">
            <td style:padding-left=indent>{format!("on range {}", work.range)}</td>
            {time(work.millis, longest)}
            {number(None)}
            {number(Some(format::count(work.rows)))}
            {number(None)}
            {number(Some(format::count(work.scanned)))}
            {number(Some(format::count(work.requests)))}
        </tr>
    }
    .into_any()
}

fn number(text: Option<String>) -> AnyView {
    view! { <td class="number">{text}</td> }.into_any()
}

/// A time and a bar of its share.
fn time(millis: Option<f64>, longest: f64) -> AnyView {
    let share = millis.filter(|_| longest > 0.0).map(|millis| bar(millis / longest));
    view! {
        {number(millis.map(format::millis))}
        <td>{share}</td>
    }
    .into_any()
}
