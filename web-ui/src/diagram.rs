//! Geometry of boxes and the arrows between them: where a box lies is its drawing's business, how an arrow runs is the same
//! everywhere. All in pixels, y downwards.

use std::f64::consts::{PI, TAU};

type Point = (f64, f64);

/// A box by its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Frame {
    fn around((x, y): Point, width: f64, height: f64) -> Frame {
        Frame { x: x - width / 2.0, y: y - height / 2.0, width, height }
    }

    pub fn centre(&self) -> Point {
        (self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// Where a line from the centre to a point outside crosses the border, moved outwards by `gap`.
    fn border_towards(&self, (x, y): Point, gap: f64) -> Point {
        let (centre_x, centre_y) = self.centre();
        let (dx, dy) = (x - centre_x, y - centre_y);
        let reach = |half: f64, way: f64| if way == 0.0 { f64::INFINITY } else { half / way.abs() };
        let share = reach(self.width / 2.0, dx).min(reach(self.height / 2.0, dy));
        if !share.is_finite() {
            return (centre_x, centre_y);
        }
        let share = share + gap / dx.hypot(dy);
        (centre_x + dx * share, centre_y + dy * share)
    }
}

/// An arrow between two boxes, as SVG wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrow {
    /// The line, for `d`.
    pub path: String,
    /// The head, for `points`.
    pub head: String,
    /// Where its word stands: beside its middle, on the outer side.
    pub word: Point,
}

/// Length of an arrow's head, and half its width.
const HEAD: (f64, f64) = (9.0, 4.0);

/// How far a word is off its arrow.
const WORD_GAP: f64 = 10.0;

/// `bend`: how far its middle is off the straight way, to the left of who walks along it. Two arrows between the same boxes in
/// opposite directions so never lie on each other.
pub fn arrow(from: &Frame, to: &Frame, bend: f64) -> Arrow {
    let ((from_x, from_y), (to_x, to_y)) = (from.centre(), to.centre());
    let (dx, dy) = (to_x - from_x, to_y - from_y);
    let length = dx.hypot(dy).max(1.0);
    // A quadratic curve comes half as near to its control point.
    let control = (
        f64::midpoint(from_x, to_x) + dy / length * bend * 2.0,
        f64::midpoint(from_y, to_y) - dx / length * bend * 2.0,
    );
    let begin = from.border_towards(control, 1.0);
    let (tip, neck) = (to.border_towards(control, 2.0), to.border_towards(control, 2.0 + HEAD.0));
    let along = ((tip.0 - neck.0) / HEAD.0, (tip.1 - neck.1) / HEAD.0);
    let side = |sign: f64| (neck.0 - along.1 * HEAD.1 * sign, neck.1 + along.0 * HEAD.1 * sign);
    let beside = |begin: f64, control: f64, end: f64, normal: f64| {
        (begin + 2.0 * control + end) / 4.0 + normal / length * WORD_GAP.copysign(bend)
    };
    Arrow {
        path: format!("M{}Q{} {}", pair(begin), pair(control), pair(neck)),
        head: format!("{} {} {}", pair(tip), pair(side(1.0)), pair(side(-1.0))),
        word: (beside(begin.0, control.0, neck.0, dy), beside(begin.1, control.1, neck.1, -dx)),
    }
}

fn pair((x, y): Point) -> String {
    format!("{x:.1},{y:.1}")
}

/// Boxes in a circle, clockwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Ring {
    pub frames: Vec<Frame>,
    pub width: f64,
    pub height: f64,
}

/// A ring's boxes.
const RING_BOX: (f64, f64) = (88.0, 40.0);

/// `count` boxes; two lie side by side, more begin at the top. Around them is room for arrows that bend outwards and their
/// words.
pub fn ring(count: usize) -> Ring {
    let radius =
        (104.0 + 14.0 * count.saturating_sub(3) as f64, if count < 3 { 0.0 } else { 40.0 + 16.0 * count as f64 });
    let room = if count < 3 { (8.0, 36.0) } else { (64.0, 28.0) };
    let half = (radius.0 + RING_BOX.0 / 2.0 + room.0, radius.1 + RING_BOX.1 / 2.0 + room.1);
    let first = if count < 3 { PI } else { -PI / 2.0 };
    let place = |at: usize| {
        let angle = first + TAU * at as f64 / count as f64;
        Frame::around((half.0 + radius.0 * angle.cos(), half.1 + radius.1 * angle.sin()), RING_BOX.0, RING_BOX.1)
    };
    Ring { frames: (0..count).map(place).collect(), width: 2.0 * half.0, height: 2.0 * half.1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(one: &Frame, other: &Frame) -> bool {
        (one.x - other.x).abs() < one.width && (one.y - other.y).abs() < one.height
    }

    #[test]
    fn rings_of_any_size_fit_and_do_not_overlap() {
        for count in 2..30 {
            let ring = ring(count);
            for (at, frame) in ring.frames.iter().enumerate() {
                assert!(frame.x >= 0.0 && frame.x + frame.width <= ring.width, "{count}: {frame:?}");
                assert!(frame.y >= 0.0 && frame.y + frame.height <= ring.height, "{count}: {frame:?}");
                assert!(!ring.frames[..at].iter().any(|other| overlap(frame, other)), "{count}: {at} lies on another");
            }
        }
        assert!(ring(2).width <= 320.0, "two fit on a telephone");
    }

    #[test]
    fn arrows_go_from_border_to_border() {
        let (left, right) = (Frame::around((50.0, 50.0), 40.0, 20.0), Frame::around((250.0, 50.0), 40.0, 20.0));
        let straight = arrow(&left, &right, 0.0);
        assert_eq!(straight.path, "M71.0,50.0Q150.0,50.0 219.0,50.0");
        assert_eq!(straight.head, "228.0,50.0 219.0,54.0 219.0,46.0");
    }

    #[test]
    fn there_and_back_are_apart() {
        let (left, right) = (Frame::around((50.0, 50.0), 40.0, 20.0), Frame::around((250.0, 50.0), 40.0, 20.0));
        let (there, back) = (arrow(&left, &right, 20.0), arrow(&right, &left, 20.0));
        assert!(there.word.1 < 30.0 && back.word.1 > 70.0, "{there:?}, {back:?}");
    }

    /// Boxes in one place give an arrow without a direction, but numbers all the same.
    #[test]
    fn boxes_on_each_other() {
        let frame = Frame::around((50.0, 50.0), 40.0, 20.0);
        assert!(!format!("{:?}", arrow(&frame, &frame, 10.0)).contains("NaN"));
    }
}
