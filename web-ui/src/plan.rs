//! The text of EXPLAIN as a tree, so that it can be drawn.

/// A node of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// `Scan on orders`.
    pub title: String,
    /// What it took, where the plan was run and the node was reached.
    pub took: Option<Took>,
    /// The plan was run, and the node was never reached.
    pub is_never_executed: bool,
    /// What it asked of ranges itself.
    pub ranges: Vec<RangeWork>,
    /// `Filter: …` and whatever else belongs to the node.
    pub notes: Vec<String>,
    pub depth: usize,
}

/// As PostgreSQL tells it: one loop on the average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Took {
    pub rows: f64,
    pub loops: f64,
    /// With all that is below the node.
    pub millis: Option<f64>,
}

impl Took {
    /// Of all loops together.
    pub fn total_millis(&self) -> Option<f64> {
        Some(self.millis? * self.loops)
    }
}

/// What a node asked of one range, all its loops together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeWork {
    pub range: String,
    pub requests: f64,
    pub scanned: f64,
    pub rows: f64,
    pub millis: Option<f64>,
}

/// A plan in the order of its lines, and the lines about the whole of it (`Execution Time: …`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub nodes: Vec<Node>,
    pub summary: Vec<(String, String)>,
}

impl Plan {
    /// The time that the node took itself, without what is below it.
    pub fn own_millis(&self, position: usize) -> Option<f64> {
        let node = self.nodes.get(position)?;
        let below = self.nodes[position + 1..].iter().take_while(|other| other.depth > node.depth);
        let children = below.filter(|other| other.depth == node.depth + 1);
        let of_children: f64 = children.filter_map(|child| child.took?.total_millis()).sum();
        // Each figure was rounded.
        Some((node.took?.total_millis()? - of_children).max(0.0))
    }
}

/// Reads lines as PostgreSQL writes them: children are indented and begin with `->`, notes are indented without it.
pub fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Plan {
    let mut plan = Plan::default();
    // The columns where the nodes above the current line begin.
    let mut open: Vec<usize> = Vec::new();
    for line in lines {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let is_child = text.starts_with("->");
        if is_child || plan.nodes.is_empty() {
            while open.last().is_some_and(|column| *column >= indent) && is_child {
                open.pop();
            }
            let mut node = node(text.trim_start_matches("->").trim());
            node.depth = open.len();
            open.push(indent);
            plan.nodes.push(node);
        } else if indent == 0 {
            let (name, value) = text.split_once(": ").unwrap_or((text, ""));
            plan.summary.push((name.to_owned(), value.to_owned()));
        } else if let Some(node) = plan.nodes.last_mut() {
            match range_work(text) {
                Some(work) => node.ranges.push(work),
                None => node.notes.push(text.to_owned()),
            }
        }
    }
    plan
}

/// `Scan on t (actual time=0.012..0.340 rows=3 loops=1)`; titles have parentheses of their own.
fn node(text: &str) -> Node {
    let last = text.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
    match last {
        Some((title, "never executed")) => Node { title: title.to_owned(), is_never_executed: true, ..Node::default() },
        Some((title, figures)) if figures.starts_with("actual ") => {
            let took = Took {
                rows: figure(figures, "rows").unwrap_or(0.0),
                loops: figure(figures, "loops").unwrap_or(1.0),
                millis: figure(figures, "time"),
            };
            Node { title: title.to_owned(), took: Some(took), ..Node::default() }
        }
        _ => Node { title: text.to_owned(), ..Node::default() },
    }
}

/// `On Range 7: requests=1 scanned=9 rows=3 time=0.211`
fn range_work(text: &str) -> Option<RangeWork> {
    let (range, figures) = text.strip_prefix("On Range ")?.split_once(": ")?;
    let count = |name| figure(figures, name).unwrap_or(0.0);
    Some(RangeWork {
        range: range.to_owned(),
        requests: count("requests"),
        scanned: count("scanned"),
        rows: count("rows"),
        millis: figure(figures, "time"),
    })
}

/// The number of `name=3`, the second one of `name=1.0..3.0`.
fn figure(text: &str, name: &str) -> Option<f64> {
    let value = text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    value.split_once("..").map_or(value, |(_, end)| end).parse().ok()
}

#[cfg(test)]
#[path = "plan_test.rs"]
mod tests;
