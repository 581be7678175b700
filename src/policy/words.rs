//! The known word that is nearest to a mistyped one, for messages that help.

/// The known word nearest to `word`; `None` when all are too far to be meant.
///
/// Limits: words longer than 64 bytes are near to nothing.
pub fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let lowered = word.to_lowercase();
    known
        .iter()
        .map(|candidate| (distance(&lowered, &candidate.to_lowercase()), *candidate))
        .min_by_key(|(steps, _)| *steps)
        .filter(|(steps, candidate)| *steps <= 1 + candidate.chars().count().min(word.chars().count()) / 3)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be added, removed, exchanged or swapped to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before_last = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 1..=one.len() {
        let mut row = vec![i; other.len() + 1];
        for j in 1..=other.len() {
            let same = one[i - 1] == other[j - 1];
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + usize::from(!same));
            let swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            if swapped {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

/// No word of ours comes near this length, and the comparison is quadratic.
const WORD_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_finds_the_one_that_was_meant() {
        let known = ["read", "write", "describe", "describe_configs", "claims"];
        for (word, expected) in [
            ("wriet", Some("write")),
            ("READ", Some("read")),
            ("claim", Some("claims")),
            ("describe_config", Some("describe_configs")),
            ("xyzzy", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word:?}");
        }
        assert_eq!(nearest(&"read".repeat(1_000), &known), None);
    }
}
