//! A plan as a tree with a bar for the time of each node.

use leptos::prelude::*;

use crate::{
    format,
    parts::chart::bar,
    plan::{Node, parse},
    rows::Rows,
};

/// Whether a result is what EXPLAIN brings.
pub fn is_plan(rows: &Rows) -> bool {
    rows.columns == ["QUERY PLAN"]
}

pub fn plan(rows: &Rows) -> AnyView {
    let plan = parse(rows.rows.iter().filter_map(|row| row.first()?.as_deref()));
    let greatest = |of: fn(&Node) -> Option<f64>| plan.nodes.iter().filter_map(of).fold(0.0, f64::max);
    let measured = plan.nodes.iter().any(|node| node.millis.is_some());
    // Measured times where there are any, else what the planner expects.
    let weight: fn(&Node) -> Option<f64> = if measured { |node| node.millis } else { |node| node.cost };
    let most = greatest(weight);
    let nodes = plan.nodes.iter().map(|node| {
        let figures = [
            node.rows.map(|rows| format!("{} rows expected", format::short(rows))),
            node.actual_rows.map(|rows| format!("{} rows", format::short(rows))),
            node.millis.map(format::millis),
        ];
        let figures = figures.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let notes = node.notes.iter().map(|note| view! { <p class="note">{note.clone()}</p> }).collect_view();
        let share = weight(node).filter(|_| most > 0.0).map(|weight| bar(weight / most));
        view! {
            <li class="plan-node" style:margin-left=format!("{}px", node.depth * 20)>
                <p>
                    <b>{node.title.clone()}</b>
                    " "
                    <span class="figure">{figures}</span>
                    {share}
                </p>
                {notes}
            </li>
        }
    });
    let nodes = nodes.collect_view();
    let summary = plan.summary.iter().map(|(name, value)| view! { <dt>{name.clone()}</dt><dd>{value.clone()}</dd> });
    let summary = summary.collect_view();
    view! {
        <ul class="plan">{nodes}</ul>
        <dl class="figures">{summary}</dl>
    }
    .into_any()
}
