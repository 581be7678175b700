//! Numbers that compare as they are written: large ids do not run together.

use std::cmp::Ordering;

/// A number: whole ones exactly, all others as floats.
///
/// Shape: a float here is never whole within 127 bits, never infinite, never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    /// None for infinities and NaN.
    pub fn from_float(float: f64) -> Option<Self> {
        if !float.is_finite() {
            None
        } else if float.fract() == 0.0 && float.abs() < WHOLE_MAX {
            Some(Number::Whole(float as i128))
        } else {
            Some(Number::Float(float))
        }
    }

    pub fn from_json(number: &serde_json::Number) -> Option<Self> {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map(Number::Whole).or_else(|| number.as_f64().and_then(Self::from_float))
    }

    /// Reads digits, with a fraction and an exponent if there are any.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().map(Number::Whole).ok().or_else(|| text.parse().ok().and_then(Self::from_float))
    }

    /// None where the sum is beyond what can be held.
    pub fn plus(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Number::Whole(one), Number::Whole(other)) => one.checked_add(other).map(Number::Whole),
            _ => Self::from_float(self.to_float() + other.to_float()),
        }
    }

    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Number::Whole(one), Number::Whole(other)) => one.cmp(&other),
            // A float is either no whole number, and then small enough to be compared exactly, or
            // larger than all whole ones.
            _ => self.to_float().total_cmp(&other.to_float()),
        }
    }

    /// The number as a place in a list or a text.
    pub fn to_index(self) -> Option<i128> {
        match self {
            Number::Whole(whole) => Some(whole),
            Number::Float(_) => None,
        }
    }

    fn to_float(self) -> f64 {
        match self {
            Number::Whole(whole) => whole as f64,
            Number::Float(float) => float,
        }
    }
}

/// Below this a whole float is an `i128` without loss: 2 to the 127th.
const WHOLE_MAX: f64 = (1u128 << 127) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_they_are_written() {
        for (one, other, expected) in [
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("1", "1.0", Ordering::Equal),
            ("1e3", "1000", Ordering::Equal),
            ("0.1", "0", Ordering::Greater),
            ("-0.5", "0", Ordering::Less),
            ("1e300", "170141183460469231731687303715884105727", Ordering::Greater),
            ("0", "-0.0", Ordering::Equal),
        ] {
            let (one, other) = (Number::parse(one).unwrap(), Number::parse(other).unwrap());
            assert_eq!(one.compare(other), expected, "{one:?} {other:?}");
            assert_eq!(one == other, expected == Ordering::Equal, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_sum_that_cannot_be_held_is_none() {
        let large = Number::parse("1.7e308").unwrap();
        assert_eq!(large.plus(large), None);
        assert_eq!(Number::Whole(i128::MAX).plus(Number::Whole(1)), None);
        assert_eq!(Number::Whole(1).plus(Number::Float(0.5)), Some(Number::Float(1.5)));
        assert_eq!(Number::parse("1e999"), None);
    }
}
