//! A cycle drawn: its transactions in a circle, an arrow from each to the one that must come after it. Which transaction is
//! told below is chosen by click, focus or key.

use std::sync::Arc;

use consistency::check::{Anomaly, Hop, graph::Edge};
use leptos::prelude::*;

use super::{Finished, verdict::operation};
use crate::{
    check::words,
    diagram::{arrow, ring},
    format,
    parts::diagram::{arrow_view, drawing},
};

pub fn view(finished: &Arc<Finished>, anomaly: &Anomaly) -> AnyView {
    let hops = Arc::new(anomaly.cycle.clone());
    let chosen = RwSignal::new(0_usize);
    let ring = ring(hops.len());
    let next = |at: usize| (at + 1) % hops.len();
    let bend = if hops.len() < 3 { 26.0 } else { 14.0 };
    let arrows = hops.iter().enumerate().map(|(at, hop)| {
        let line = arrow(&ring.frames[at], &ring.frames[next(at)], bend);
        arrow_view(line, hop.edge.family(), Some(label(hop)))
    });
    let arrows = arrows.collect_view();
    let vertices = ring.frames.iter().zip(hops.iter()).enumerate().map(|(at, (frame, hop))| {
        let (x, y) = frame.centre();
        let told = finished.workload.told(hop.operation);
        let clients = finished.settings.clients;
        let who = told.map_or_else(String::new, |told| words::client(told.process, clients));
        let choose = move |event: leptos::ev::KeyboardEvent| {
            if matches!(event.key().as_str(), "Enter" | " ") {
                event.prevent_default();
                chosen.set(at);
            }
        };
        view! {
            <g
                class="choice"
                role="button"
                tabindex="0"
                aria-pressed=move || (chosen.get() == at).to_string()
                on:click=move |_| chosen.set(at)
                on:focus=move |_| chosen.set(at)
                on:keydown=choose
            >
                <rect class="vertex" x=frame.x y=frame.y width=frame.width height=frame.height rx="4" />
                <text y=y - 2.0 text-anchor="middle">
                    <tspan x=x class="name">{format!("T{}", at + 1)}</tspan>
                    " "
                    <tspan x=x dy="14">{who}</tspan>
                </text>
            </g>
        }
    });
    let vertices = vertices.collect_view();
    let name = format!("Graph of {} at operation {}", anomaly.kind, hops[0].operation);
    let said = format!("A circle of {}", format::plural(hops.len(), "transaction"));
    let (finished, told) = (finished.clone(), hops.clone());
    view! {
        {drawing(name, (ring.width, ring.height), "group", said, view! { {arrows} {vertices} }.into_any())}
        {legend(&hops)}
        <div class="operations" aria-live="polite">
            {move || chosen_view(&finished, &told, chosen.get())}
        </div>
        <details class="in-words">
            <summary>"In words"</summary>
            <ol class="circle">{hops.iter().enumerate().map(|(at, hop)| sentence(at, next(at), hop)).collect_view()}</ol>
        </details>
    }
    .into_any()
}

/// The transaction that was chosen, and what binds it to its neighbours.
fn chosen_view(finished: &Finished, hops: &[Hop], at: usize) -> AnyView {
    let Some(hop) = hops.get(at) else { return ().into_any() };
    let next = (at + 1) % hops.len();
    view! {
        {operation(finished, hop.operation, Some(format!("T{}", at + 1)))}
        <p class="operation">
            {format!("T{} comes before T{} ({}), because {}.", at + 1, next + 1, hop.edge.name(), hop.because)}
        </p>
    }
    .into_any()
}

fn sentence(at: usize, next: usize, hop: &Hop) -> AnyView {
    view! {
        <li>
            <b>{format!("T{}", at + 1)}</b> " " <span class="code">{hop.steps.clone()}</span>
            <br />
            <span class="note">{format!("comes before T{} ({}), because {}", next + 1, hop.edge.name(), hop.because)}</span>
        </li>
    }
    .into_any()
}

fn label(hop: &Hop) -> String {
    if hop.key.is_empty() { hop.edge.name().to_owned() } else { format!("{} {}", hop.edge.name(), hop.key) }
}

/// What the kinds of arrows that there are mean.
fn legend(hops: &[Hop]) -> AnyView {
    let mut edges: Vec<Edge> = hops.iter().map(|hop| hop.edge).collect();
    edges.sort();
    edges.dedup();
    let entries = edges.into_iter().map(|edge| {
        let meaning = match edge {
            Edge::WriteWrite => "wrote what the next one overwrote",
            Edge::WriteRead => "wrote what the next one read",
            Edge::ReadWrite => "read what the next one overwrote",
            Edge::PredicateReadWrite => "did not find what the next one wrote",
            Edge::Process => "came before in the same client",
            Edge::RealTime => "had ended before the next one began",
            Edge::Via => "",
        };
        view! {
            <span class="legend-entry">
                <svg class="diagram" width="28" height="8" aria-hidden="true"><path class=format!("arrow {}", edge.family()) d="M0 4h28" /></svg>
                <b>{edge.name()}</b>
                {meaning}
            </span>
        }
    });
    view! { <p class="legend">{entries.collect_view()}</p> }.into_any()
}
