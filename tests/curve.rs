//! The curve of a search as CSV and as SVG. Snapshots lie in tests/snapshots: look at them in a browser.
#![cfg(feature = "cli")]

use secateur::report::{Curve, Point, curve_csv, curve_svg};

fn point(round: u32, saved: f64, metric: f64, kept: bool) -> Point {
    Point { round, saved, metric, kept, best: false, test: false }
}

/// An element search on a LeNet-5, rounds of which broke down.
fn lenet() -> Curve {
    let points = [
        (0.50, 0.9935, true),
        (0.75, 0.9934, true),
        (0.99, 0.1135, false),
        (0.88, 0.9931, true),
        (0.94, 0.9887, false),
        (0.91, 0.9929, true),
        (0.925, 0.9912, false),
        (0.917, 0.9926, true),
        (0.921, 0.9918, false),
        (0.9175, 0.9925, true),
    ];
    let mut points: Vec<Point> =
        (1..).zip(points).map(|(round, (saved, metric, kept))| point(round, saved, metric, kept)).collect();
    points[9].best = true;
    points.push(Point { best: true, test: true, ..point(10, 0.9175, 0.9922, true) });
    Curve {
        title: "lenet5caffe_mnist.onnx: magnitude, moments".to_owned(),
        metric_name: "accuracy".to_owned(),
        percent: true,
        saved_name: "weights cut".to_owned(),
        higher_is_better: true,
        baseline: 0.9935,
        floor: 0.9925,
        points,
    }
}

/// A channel search that is judged by a loss, where less is better.
fn loss() -> Curve {
    let points = (0..60).map(|i| {
        let saved = f64::from(i % 20) * 0.02 + f64::from(i / 20) * 0.005;
        let metric = 0.61 + 2.5 * saved * saved + f64::from((i * 7) % 11) * 0.01;
        point(i + 1, saved, metric, metric <= 0.85)
    });
    let mut points: Vec<Point> = points.collect();
    points.push(point(61, 0.41, 2.25, false));
    points.push(point(62, 0.44, f64::NAN, false));
    points.push(point(63, 0.47, f64::INFINITY, false));
    let best =
        (0..60).filter(|&i| points[i].kept).max_by(|&a, &b| points[a].saved.total_cmp(&points[b].saved)).unwrap();
    points[best].best = true;
    Curve {
        title: "resnet20 & co <cut> by \"variance\" \u{1b}[2J\u{202e}\u{ffff}".to_owned(),
        metric_name: "cross-entropy".to_owned(),
        percent: false,
        saved_name: "MACs removed".to_owned(),
        higher_is_better: false,
        baseline: 0.61,
        floor: 0.85,
        points,
    }
}

fn empty() -> Curve {
    Curve { points: Vec::new(), ..lenet() }
}

/// One candidate, which is as good as the unpruned model and the floor.
fn one() -> Curve {
    let best = Point { best: true, ..point(1, 0.05, 0.99, true) };
    Curve { points: vec![best], baseline: 0.99, floor: 0.99, ..lenet() }
}

#[test]
fn pictures() {
    for (name, curve) in [("lenet", lenet()), ("loss", loss()), ("empty", empty()), ("one", one())] {
        let svg = curve_svg(&curve).unwrap();
        assert_eq!(svg, curve_svg(&curve).unwrap());
        insta::assert_snapshot!(format!("curve_{name}_svg"), svg);
    }
}

#[test]
fn rows() {
    let mut text = Vec::new();
    curve_csv(&loss(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("round,saved,metric,kept,best,test\n1,0.0,0.61,true,false,false\n"), "{text}");
    assert!(text.ends_with("61,0.41,2.25,false,false,false\n62,0.44,,false,false,false\n63,0.47,,false,false,false\n"));
    for (line, point) in text.lines().skip(1).zip(loss().points) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[0], point.round.to_string());
        assert_eq!(cells[1].parse::<f64>().unwrap(), point.saved);
        assert!(!point.metric.is_finite() || cells[2].parse::<f64>().unwrap() == point.metric);
    }
}

/// Tags close, text is escaped, and nothing is drawn outside or at no number.
fn check(svg: &str) {
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    let (mut open, mut rest) = (Vec::new(), svg);
    while let Some((before, tag)) = rest.split_once('<') {
        assert!(!before.contains('>'), "{before}");
        let (tag, after) = tag.split_once('>').unwrap();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
        for attribute in tag.split("\" ") {
            let (name, value) = attribute.split_once("=\"").unwrap_or_default();
            if ["x", "y", "cx", "cy", "x1", "y1", "x2", "y2"].contains(&name.trim()) {
                let at: i32 = value.trim_end_matches(['"', '/']).parse().unwrap();
                assert!((-5..=845).contains(&at), "{tag}");
            }
        }
        rest = after;
    }
    assert!(open.is_empty() && !svg.contains("NaN") && !svg.contains("inf\""));
    assert!(!svg.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{ffff}'));
}

#[test]
fn any_curve_can_be_drawn() {
    let numbers = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e99, -1e99, 1e308, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let mut cases = vec![lenet(), loss(), empty(), one()];
    for metric in numbers {
        for other in numbers {
            for higher_is_better in [true, false] {
                let mut points = vec![point(1, 0.5, metric, false), point(2, 0.6, other, true)];
                points.push(Point { best: true, ..point(3, other, metric, true) });
                points.push(Point { test: true, ..point(3, metric, other, true) });
                let (baseline, floor) = (other, metric);
                cases.push(Curve { points, baseline, floor, higher_is_better, percent: higher_is_better, ..lenet() });
            }
        }
    }
    for curve in cases {
        check(&curve_svg(&curve).unwrap());
    }
}

#[test]
fn ten_thousand_candidates_are_a_small_picture() {
    let many = |i: u32| {
        let saved = f64::from(i) / 10_000.0;
        point(i, saved, 0.9 - saved * saved * 0.3 + f64::from(i % 97) * 1e-3, !i.is_multiple_of(3))
    };
    let curve = Curve { points: (0..10_000).map(many).collect(), baseline: 0.95, floor: 0.7, ..lenet() };
    let svg = curve_svg(&curve).unwrap();
    check(&svg);
    assert!(svg.len() < 1 << 20, "{} bytes", svg.len());
    assert!(svg.contains("6666 candidates were accepted and 3334 rejected"));
}

#[test]
fn it_says_what_it_shows() {
    let svg = curve_svg(&lenet()).unwrap();
    for text in [
        "role=\"img\"",
        "<title>lenet5caffe_mnist.onnx: magnitude, moments</title>",
        "accuracy against weights cut, in %. 6 candidates were accepted and 4 rejected. Unpruned: 99.35 %. The floor: \
         99.25 %. The best: 91.75 % cut, 99.25 % (round 10). On the test set: 99.22 % at 91.75 %.",
        "rejected, beyond the axis",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    let svg = curve_svg(&loss()).unwrap();
    assert!(svg.contains("2 candidates without a finite metric are left out") && svg.contains("ceiling 0.85"));
    assert!(svg.contains("resnet20 &amp; co &lt;cut&gt; by"));
}
