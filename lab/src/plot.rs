//! Draws results as SVG.

use std::f64::consts::LN_10;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::error::{Error, Result};

const SIZE: (u32, u32) = (900, 520);
const ROW_HEIGHT: u32 = 22;
const LABEL_WIDTH: u32 = 330;
/// Pixels above the rows of a bar chart for its caption, and below them for its axis.
const ABOVE_ROWS: u32 = 42;
const BELOW_ROWS: u32 = 52;

/// A curve: its name, and points `(x, y, half of the confidence interval)`.
pub type Curve = (String, Vec<(f64, f64, f64)>);

/// A bar: its label, its length, and half of its confidence interval.
pub type Bar = (String, f64, f64);

/// Labels of a picture.
pub struct Frame<'a> {
    /// Title.
    pub title: &'a str,
    /// Label of the x axis.
    pub x: &'a str,
    /// Label of the y axis.
    pub y: &'a str,
}

/// Draws curves with error bars.
pub fn curves(path: &Path, frame: &Frame<'_>, curves: &[Curve]) -> Result<()> {
    let points = || curves.iter().flat_map(|(_, points)| points);
    let xs = range(points().map(|(x, _, _)| *x));
    let ys = range(
        points().flat_map(|(_, y, margin)| [y - bounded(*margin), y + bounded(*margin), 0.0]),
    );
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    drawn(path, || {
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(frame.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(80)
            .build_cartesian_2d(xs.0..xs.1, ys.0..ys.1)?;
        chart
            .configure_mesh()
            .x_desc(frame.x)
            .y_desc(frame.y)
            .light_line_style(WHITE)
            .draw()?;
        for (index, (name, points)) in curves.iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            let line = points.iter().map(|(x, y, _)| (*x, *y));
            chart
                .draw_series(LineSeries::new(line, color.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
            chart.draw_series(points.iter().map(|(x, y, margin)| {
                let margin = bounded(*margin);
                ErrorBar::new_vertical(*x, y - margin, *y, y + margin, color.filled(), 6)
            }))?;
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
        root.present()
    })
}

/// Draws horizontal bars on a scale that is linear below `unit` and logarithmic above it.
pub fn bars(path: &Path, frame: &Frame<'_>, unit: f64, bars: &[Bar]) -> Result<()> {
    // Whole numbers are approximately `unit` times powers of ten.
    let scaled = |value: f64| (value / unit / 2.0).asinh() / LN_10;
    let tick = |x: &f64| rounded((x * LN_10).sinh() * unit * 2.0, unit);
    let ends = bars
        .iter()
        .flat_map(|(_, value, margin)| [value - bounded(*margin), value + bounded(*margin), 0.0]);
    let xs = range(ends.map(scaled));
    let height = ABOVE_ROWS + ROW_HEIGHT * bars.len().max(1) as u32 + BELOW_ROWS;
    let root = SVGBackend::new(path, (SIZE.0, height)).into_drawing_area();
    drawn(path, || {
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(frame.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(LABEL_WIDTH)
            .build_cartesian_2d(xs.0..xs.1, -0.5..bars.len().max(1) as f64 - 0.5)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc(frame.x)
            .x_label_formatter(&tick)
            .light_line_style(WHITE)
            .draw()?;
        for (row, (_, value, margin)) in bars.iter().rev().enumerate() {
            let (y, margin) = (row as f64, bounded(*margin));
            let color = if *value < 0.0 { BLUE } else { RED };
            let corners = [(0.0, y - 0.3), (scaled(*value), y + 0.3)];
            chart.draw_series([Rectangle::new(corners, color.mix(0.5).filled())])?;
            let (low, high) = (scaled(value - margin), scaled(value + margin));
            chart.draw_series([PathElement::new([(low, y), (high, y)], BLACK)])?;
        }
        labels(&root, bars)
    })
}

/// Labels the rows of a bar chart, whose axis has only numbers.
fn labels(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    bars: &[Bar],
) -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let style = ("sans-serif", 13).into_text_style(root);
    for (index, (name, ..)) in bars.iter().enumerate() {
        let y = f64::from(ABOVE_ROWS) + f64::from(ROW_HEIGHT) * (index as f64 + 0.5) - 6.0;
        root.draw_text(name, &style, (14, y as i32))?;
    }
    root.present()
}

/// The label of a tick: one significant digit far from 0, two decimals near it.
fn rounded(value: f64, unit: f64) -> String {
    if value.abs() < unit {
        return format!("{value:.2}");
    }
    let power = 10f64.powf(value.abs().log10().floor());
    format!("{:.0}", (value / power).round() * power)
}

/// An unknown confidence interval is not drawn.
fn bounded(margin: f64) -> f64 {
    if margin.is_finite() { margin } else { 0.0 }
}

/// From the smallest to the largest value with a margin; never empty.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if !(low.is_finite() && high.is_finite()) {
        return (0.0, 1.0);
    }
    let room = if high > low { (high - low) * 0.04 } else { 1.0 };
    (low - room, high + room)
}

fn drawn(
    path: &Path,
    draw: impl FnOnce() -> std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>,
) -> Result<()> {
    draw().map_err(|error| Error::Plot {
        what: path.display().to_string(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame<'_> = Frame {
        title: "title",
        x: "x axis",
        y: "y axis",
    };

    #[test]
    fn pictures_carry_their_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.svg");
        let points = vec![(0.0, 1.0, 0.5), (1.0, 2.0, f64::INFINITY)];
        curves(&path, &FRAME, &[("one".into(), points)]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for word in ["title", "x axis", "y axis", "one"] {
            assert!(svg.contains(word), "{word}");
        }
        bars(&path, &FRAME, 100.0, &[("row".into(), -5.0, 1.0)]).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("row"));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(rounded(-9_999.5, 100.0), "-10000");
        assert_eq!(rounded(990.0, 100.0), "1000");
        assert_eq!(rounded(0.464, 1.0), "0.46");
    }

    #[test]
    fn an_empty_picture_is_a_picture() {
        let folder = tempfile::tempdir().unwrap();
        curves(&folder.path().join("empty.svg"), &FRAME, &[]).unwrap();
        bars(&folder.path().join("bars.svg"), &FRAME, 1.0, &[]).unwrap();
    }

    #[test]
    fn a_folder_that_does_not_exist_is_named() {
        let error = curves(Path::new("/nowhere/at/all.svg"), &FRAME, &[]).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all.svg"), "{error}");
    }
}
