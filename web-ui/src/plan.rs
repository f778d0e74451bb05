//! The text of EXPLAIN as a tree, so that it can be drawn.

/// A node of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// `Seq Scan on orders`.
    pub title: String,
    /// Estimated rows and cost, and measured rows and milliseconds, where the text has them.
    pub rows: Option<f64>,
    pub cost: Option<f64>,
    pub actual_rows: Option<f64>,
    pub millis: Option<f64>,
    /// `Filter: …` and whatever else belongs to the node.
    pub notes: Vec<String>,
    pub depth: usize,
}

/// A plan in the order of its lines, and the lines about the whole of it (`Execution Time: …`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub nodes: Vec<Node>,
    pub summary: Vec<(String, String)>,
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
            node.notes.push(text.to_owned());
        }
    }
    plan
}

fn node(text: &str) -> Node {
    let (title, rest) = text.split_once("  (").or_else(|| text.split_once(" (")).unwrap_or((text, ""));
    let has_figures = rest.contains("rows=") || rest.contains("cost=");
    if !has_figures {
        return Node { title: text.to_owned(), ..Node::default() };
    }
    let (estimate, actual) = rest.split_once("(actual").unwrap_or((rest, ""));
    Node {
        title: title.to_owned(),
        rows: figure(estimate, "rows="),
        cost: figure(estimate, "cost=").or_else(|| range_end(estimate, "cost=")),
        actual_rows: figure(actual, "rows="),
        millis: range_end(actual, "time="),
        ..Node::default()
    }
}

/// The number behind a name, when it is a single one.
fn figure(text: &str, name: &str) -> Option<f64> {
    let value = text.split_once(name)?.1;
    value[..value.find([' ', ')']).unwrap_or(value.len())].parse().ok()
}

/// The second number of `name=1.0..2.0`.
fn range_end(text: &str, name: &str) -> Option<f64> {
    let value = text.split_once(name)?.1;
    let value = &value[..value.find([' ', ')']).unwrap_or(value.len())];
    value.split_once("..").map_or(value, |(_, end)| end).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_as_postgresql_writes_it() {
        let text = "Hash Join  (cost=1.5..40.2 rows=10 width=4) (actual time=0.1..2.5 rows=7 loops=1)
  Hash Cond: (a.x = b.x)
  ->  Seq Scan on a  (cost=0.0..20.0 rows=100 width=4)
        Filter: (y > 1)
  ->  Hash  (cost=9.0..9.0 rows=5 width=4)
        ->  Index Scan using b_x on b  (cost=0.0..9.0 rows=5 width=4)
Execution Time: 3.1 ms";
        let plan = parse(text.lines());
        let shape: Vec<(usize, &str)> = plan.nodes.iter().map(|node| (node.depth, node.title.as_str())).collect();
        let expected = [(0, "Hash Join"), (1, "Seq Scan on a"), (1, "Hash"), (2, "Index Scan using b_x on b")];
        assert_eq!(shape, expected);
        let top = &plan.nodes[0];
        assert_eq!((top.rows, top.cost, top.actual_rows, top.millis), (Some(10.0), Some(40.2), Some(7.0), Some(2.5)));
        assert_eq!((&top.notes[0][..], &plan.nodes[1].notes[0][..]), ("Hash Cond: (a.x = b.x)", "Filter: (y > 1)"));
        assert_eq!(plan.summary, [("Execution Time".to_owned(), "3.1 ms".to_owned())]);
    }

    #[test]
    fn plans_without_figures() {
        let plan = parse("Limit (1)\n  ->  Values".lines());
        assert_eq!(plan.nodes[0].title, "Limit (1)");
        assert_eq!((plan.nodes[1].depth, plan.nodes[1].rows), (1, None));
    }
}
