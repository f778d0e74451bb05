//! The places of the page, one file each: SQL over views, and how its rows are drawn.

mod consistency;
mod editor;
mod locks;
mod nodes;
mod overview;
mod part;
mod plan;
mod ranges;
mod schema;
mod security;
mod sessions;
mod statements;

use leptos::prelude::*;

use crate::{app::App, route::Page};

pub fn page(app: App, page: Page) -> AnyView {
    match page {
        Page::Overview => overview::page(app),
        Page::Nodes => nodes::page(app),
        Page::Ranges => ranges::page(app),
        Page::Statements => statements::page(app),
        Page::Sessions => sessions::page(app),
        Page::Locks => locks::page(app),
        Page::Schema => schema::page(app),
        Page::Sql => editor::page(app),
        Page::Security => security::page(app),
        Page::Consistency => part::page(app, part::consistency),
    }
}
