use crate::PPM;
use crate::v1::CalibrationPoint;

/// Maps a raw score in micro-logits to a quality, `0..=1_000_000` ppm (protocol section 4).
///
/// Between two points the quality is interpolated linearly and rounded down. Below the first and above
/// the last point it is the quality of that point. In a valid table raw scores strictly increase and
/// qualities never decrease, so the result never decreases with `raw_score`. An invalid table returns
/// some value without a panic or an overflow; an empty one returns 0.
pub fn calibrate(points: &[CalibrationPoint], raw_score: i32) -> u32 {
    let above = points
        .iter()
        .position(|point| point.raw_score > raw_score)
        .unwrap_or(points.len());
    let low = above.checked_sub(1).and_then(|index| points.get(index));
    let quality = match (low, points.get(above)) {
        (Some(low), Some(high)) => interpolate(low, high, raw_score),
        (Some(edge), None) | (None, Some(edge)) => bounded(edge),
        (None, None) => 0,
    };
    // Lossless: a quality is between two of at most one million.
    quality as u32
}

/// `low.raw_score <= raw_score < high.raw_score`. The product stays below 2^32 · 2^20.
fn interpolate(low: &CalibrationPoint, high: &CalibrationPoint, raw_score: i32) -> i64 {
    let offset = i64::from(raw_score) - i64::from(low.raw_score);
    let width = i64::from(high.raw_score) - i64::from(low.raw_score);
    let rise = bounded(high) - bounded(low);
    bounded(low) + offset * rise / width
}

fn bounded(point: &CalibrationPoint) -> i64 {
    i64::from(point.quality).min(PPM as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(raw_score: i32, quality: u32) -> CalibrationPoint {
        CalibrationPoint { raw_score, quality }
    }

    #[test]
    fn interpolates_rounds_down_and_clamps() {
        let table = [point(-10, 0), point(0, 100), point(3, 101)];
        let expected = [
            (-11, 0),
            (-10, 0),
            (-9, 10),
            (-1, 90),
            (0, 100),
            (1, 100),
            (2, 100),
        ];
        for (raw, quality) in expected.into_iter().chain([(3, 101), (i32::MAX, 101)]) {
            assert_eq!(calibrate(&table, raw), quality, "{raw}");
        }
    }

    #[test]
    fn the_widest_table_does_not_overflow() {
        let table = [point(i32::MIN, 0), point(i32::MAX, 1_000_000)];
        assert_eq!(calibrate(&table, i32::MIN), 0);
        assert_eq!(calibrate(&table, 0), 500_000);
        assert_eq!(calibrate(&table, i32::MAX - 1), 999_999);
        assert_eq!(calibrate(&table, i32::MAX), 1_000_000);
    }

    #[test]
    fn short_tables_are_constant() {
        assert_eq!(calibrate(&[], 5), 0);
        assert_eq!(calibrate(&[point(7, 42)], -5), 42);
        assert_eq!(calibrate(&[point(7, 42)], 9), 42);
    }

    fn valid_table() -> impl Strategy<Value = Vec<CalibrationPoint>> {
        proptest::collection::btree_map(any::<i32>(), 0_u32..=1_000_000, 2..=256).prop_map(|map| {
            let mut qualities: Vec<u32> = map.values().copied().collect();
            qualities.sort_unstable();
            map.into_keys()
                .zip(qualities)
                .map(|(raw_score, quality)| point(raw_score, quality))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn never_falls_and_stays_within_the_table(
            table in valid_table(),
            mut scores in proptest::collection::vec(any::<i32>(), 2..50),
        ) {
            scores.sort_unstable();
            let qualities: Vec<u32> = scores.iter().map(|raw| calibrate(&table, *raw)).collect();
            prop_assert!(qualities.is_sorted());
            let range = table[0].quality..=table[table.len() - 1].quality;
            prop_assert!(qualities.iter().all(|quality| range.contains(quality)));
        }

        #[test]
        fn meets_every_point(table in valid_table()) {
            for point in &table {
                prop_assert_eq!(calibrate(&table, point.raw_score), point.quality);
            }
        }

        #[test]
        fn any_table_gives_a_quality(
            table in proptest::collection::vec((any::<i32>(), any::<u32>()), 0..20),
            raw in any::<i32>(),
        ) {
            let table: Vec<_> = table.into_iter().map(|(raw, quality)| point(raw, quality)).collect();
            prop_assert!(calibrate(&table, raw) <= 1_000_000);
        }
    }
}
