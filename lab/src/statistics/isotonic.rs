//! Isotonic regression by pooling adjacent violators. No suitable crate exists: `pav_regression` is
//! under the LGPL, and `linfa-linear` depends on a linear-algebra stack.

/// One observation, or a block of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The abscissa.
    pub x: f64,
    /// The observed value; for a block, the weighted mean.
    pub y: f64,
    /// Positive.
    pub weight: f64,
}

impl Point {
    fn join(self, other: Self) -> Self {
        let weight = self.weight + other.weight;
        let mean = |a: f64, b: f64| (a * self.weight + b * other.weight) / weight;
        Self {
            x: mean(self.x, other.x),
            y: mean(self.y, other.y),
            weight,
        }
    }
}

/// The blocks of the non-decreasing function nearest to the points in weighted least squares, in
/// the order of `x`; points with the same `x` are in the same block.
pub fn regression(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let mut blocks: Vec<Point> = Vec::new();
    for same in points.chunk_by(|a, b| a.x == b.x) {
        let Some(mut block) = same.iter().copied().reduce(Point::join) else {
            continue;
        };
        while let Some(last) = blocks.last().copied()
            && last.y >= block.y
        {
            blocks.pop();
            block = last.join(block);
        }
        blocks.push(block);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fit(ys: &[f64]) -> Vec<(f64, f64)> {
        let points = ys.iter().enumerate().map(|(x, y)| Point {
            x: x as f64,
            y: *y,
            weight: 1.0,
        });
        let blocks = regression(points.collect());
        blocks.iter().map(|block| (block.y, block.weight)).collect()
    }

    /// From `sklearn.isotonic.isotonic_regression`.
    #[test]
    fn violators_are_pooled() {
        assert_eq!(fit(&[1.0, 2.0, 3.0]), [(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]);
        assert_eq!(
            fit(&[1.0, 3.0, 2.0, 4.0]),
            [(1.0, 1.0), (2.5, 2.0), (4.0, 1.0)]
        );
        assert_eq!(fit(&[3.0, 2.0, 1.0]), [(2.0, 3.0)]);
        assert_eq!(
            fit(&[5.0, 3.0, 1.0, 2.0, 8.0, 10.0, 7.0, 9.0, 6.0, 4.0]),
            [(2.75, 4.0), (44.0 / 6.0, 6.0)]
        );
        assert!(fit(&[]).is_empty());
    }

    #[test]
    fn equal_places_are_one_point_and_weights_count() {
        let point = |x, y, weight| Point { x, y, weight };
        let blocks = regression(vec![
            point(1.0, 1.0, 3.0),
            point(2.0, 0.0, 1.0),
            point(1.0, 0.0, 1.0),
        ]);
        assert_eq!(blocks, [point(1.2, 0.6, 5.0)]);
    }

    proptest! {
        #[test]
        fn the_fit_rises_and_keeps_the_mean(ys in proptest::collection::vec(0.0..1.0, 1..60)) {
            let blocks = fit(&ys);
            prop_assert!(blocks.is_sorted_by(|a, b| a.0 < b.0));
            let sum: f64 = blocks.iter().map(|(y, weight)| y * weight).sum();
            prop_assert!((sum - ys.iter().sum::<f64>()).abs() < 1e-9);
        }
    }
}
