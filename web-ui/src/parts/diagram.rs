//! Boxes and arrows. `diagram` says where they go.

use leptos::prelude::*;

use crate::diagram::Arrow;

/// An arrow of a kind (`kind` is its class), with a word on it.
pub fn arrow_view(arrow: Arrow, kind: &'static str, word: Option<String>) -> AnyView {
    let Arrow { path, head, word: (x, y) } = arrow;
    view! {
        <path class=format!("arrow {kind}") d=path />
        <polygon class=format!("tip {kind}") points=head />
        {word.map(|word| view! { <text class="on-arrow" x=x y=y + 4.0 text-anchor="middle">{word}</text> })}
    }
    .into_any()
}

/// A drawing that scrolls where it does not fit. `role`: `img` where all of it is said by the label, `group` where parts of it
/// can be chosen.
pub fn drawing(
    name: String,
    (width, height): (f64, f64),
    role: &'static str,
    label: String,
    content: AnyView,
) -> AnyView {
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label=name>
            <svg class="diagram" width=width height=height role=role aria-label=label>
                {content}
            </svg>
        </div>
    }
    .into_any()
}
