//! Icons, drawn on a grid of 16, in the colour of the text around them.

use leptos::prelude::*;

pub fn icon(name: &'static str) -> AnyView {
    let path = match name {
        "overview" => "M2 9l6-6 6 6M4 8v6h8V8",
        "nodes" => "M2 3h12v4H2zM2 9h12v4H2zM5 5h.01M5 11h.01",
        "ranges" => "M2 3h5v4H2zM9 3h5v4H9zM2 9h8v4H2zM12 9h2v4h-2z",
        "statements" => "M3 4h10M3 8h7M3 12h9",
        "sessions" => "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 14c.6-3 2.8-4 5.5-4s4.9 1 5.5 4",
        "locks" => "M4 7h8v7H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2",
        "schema" => "M3 4c0-1.3 10-1.3 10 0v8c0 1.3-10 1.3-10 0zM3 4c0 1.3 10 1.3 10 0M3 8c0 1.3 10 1.3 10 0",
        "sql" => "M5 4L1.5 8 5 12M11 4l3.5 4-3.5 4M9 3l-2 10",
        "security" => "M8 2l5 2v4c0 3-2 5-5 6-3-1-5-3-5-6V4z",
        "consistency" => "M2 8a6 6 0 1 0 12 0A6 6 0 0 0 2 8zM5.5 8l2 2 3.5-4",
        "good" => "M2 8a6 6 0 1 0 12 0A6 6 0 0 0 2 8zM5 8l2 2 4-4",
        "warn" => "M8 2l6.5 12h-13zM8 6.5v3.5M8 12h.01",
        "bad" => "M2 8a6 6 0 1 0 12 0A6 6 0 0 0 2 8zM5.5 5.5l5 5M10.5 5.5l-5 5",
        "info" => "M2 8a6 6 0 1 0 12 0A6 6 0 0 0 2 8zM8 7.5v3.5M8 5h.01",
        "wait" => "M2 8a6 6 0 1 0 12 0A6 6 0 0 0 2 8zM8 4.5V8l2.5 1.5",
        "search" => "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.5 10.5L14 14",
        "menu" => "M2 4h12M2 8h12M2 12h12",
        "close" => "M3.5 3.5l9 9M12.5 3.5l-9 9",
        "play" => "M4.5 3v10l8-5z",
        "stop" => "M4 4h8v8H4z",
        "plus" => "M8 3v10M3 8h10",
        "refresh" => "M13 8a5 5 0 1 1-1.5-3.5L13 6M13 2.5V6H9.5",
        _ => "",
    };
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
            <path d=path />
        </svg>
    }
    .into_any()
}

/// How well something is: always an icon, a word and a colour, so that none of the three is needed.
pub fn status(kind: &'static str, word: impl Into<String>) -> AnyView {
    let word = word.into();
    view! { <span class=format!("status {kind}")>{icon(kind)}{word}</span> }.into_any()
}
