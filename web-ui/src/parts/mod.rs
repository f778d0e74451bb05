//! What pages are made of.

pub mod chart;
pub mod diagram;
pub mod dialog;
pub mod feed;
pub mod icon;
pub mod link;
pub mod panel;
pub mod table;
