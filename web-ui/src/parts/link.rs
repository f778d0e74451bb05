//! Ways from one place of the page to another.

use leptos::prelude::*;

use crate::{app::App, route::Route};

/// A link that works like any other (new tab, copy address), but does not load the page again.
pub fn link_to(app: App, route: Route, class: &'static str, content: impl IntoView + 'static) -> AnyView {
    let address = route.address();
    let follow = move |event: leptos::ev::MouseEvent| {
        if !event.ctrl_key() && !event.meta_key() && !event.shift_key() && event.button() == 0 {
            event.prevent_default();
            app.go(route.clone());
        }
    };
    view! {
        <a href=address class=class on:click=follow>
            {content}
        </a>
    }
    .into_any()
}
