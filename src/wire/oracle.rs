//! The codec as the walk's oracle: what the walk accepts must decode.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey as CrateKey, RequestKind, ResponseKind};

use super::shape::{Direction, grammar};
use super::{Malformed, messages};

/// Feeds arbitrary bytes to the walk, and what passes to the codec.
///
/// Shape: the first four bytes choose key, direction and version.
pub fn fuzz_walk(data: &[u8]) {
    let Some(([key, direction, version, _], body)) = data.split_first_chunk() else { return };
    let direction = if direction % 2 == 0 { Direction::Request } else { Direction::Response };
    let (key, version) = (i16::from(*key), i16::from(*version) % 20);
    if let Ok(measure) = grammar().walk(key, direction, version, body, 10_000) {
        assert!(measure.elements <= body.len() && measure.strings <= body.len());
        if let Some(again) = recoded(key, direction, version, body) {
            let again = again.expect("what the walk accepts decodes, and can be said again");
            let walked = grammar().walk(key, direction, version, &again, 10_000);
            assert_eq!(walked.map(drop), Ok(()), "what the codec says has the right shape");
        }
    }
}

/// A walked body of any key, decoded and encoded again; `None` where no codec knows the version.
///
/// Shape: the typed messages of this room where there are some, else those of the wire crate.
pub fn recoded(
    key: i16,
    direction: Direction,
    version: i16,
    body: &[u8],
) -> Option<Result<BytesMut, Malformed>> {
    let mut rest = Bytes::copy_from_slice(body);
    let again = match messages::recoded(key, direction, version, &mut rest) {
        Some(again) => again.ok(),
        None => recoded_by_crate(key, direction, version, &mut rest)?,
    };
    Some(match (again, rest.len()) {
        (None, _) => Err(Malformed::Undecodable),
        (Some(again), 0) => Ok(again),
        (Some(_), bytes) => Err(Malformed::TrailingBytes { bytes }),
    })
}

fn recoded_by_crate(
    key: i16,
    direction: Direction,
    version: i16,
    from: &mut Bytes,
) -> Option<Option<BytesMut>> {
    let key = CrateKey::try_from(key).ok()?;
    let known = key.valid_versions();
    if !(known.min..=known.max).contains(&version) {
        return None;
    }
    // The crate lists this version, which its response has and its request has not.
    if let (CrateKey::InitProducerId, Direction::Request, 6) = (key, direction, version) {
        return None;
    }
    let mut again = BytesMut::new();
    let encoded =
        match direction {
            Direction::Request => RequestKind::decode(key, from, version)
                .and_then(|message| message.encode(&mut again, version)),
            Direction::Response => ResponseKind::decode(key, from, version)
                .and_then(|message| message.encode(&mut again, version)),
        };
    Some(encoded.is_ok().then_some(again))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fuzzing::{self, Random, each_message};
    use crate::wire::sample::{self, Filler};

    /// Fills everything, with nothing that is a field's default.
    struct Everything;

    impl Filler for Everything {
        fn text(&mut self, _path: &str) -> String {
            "text".to_owned()
        }
        fn uuid(&mut self, _path: &str) -> uuid::Uuid {
            uuid::Uuid::from_u128(7)
        }
        fn bytes(&mut self, _path: &str) -> Vec<u8> {
            vec![9; 200]
        }
        fn int(&mut self, _path: &str) -> i64 {
            1
        }
        fn count(&mut self, _path: &str) -> usize {
            2
        }
    }

    #[test]
    fn the_grammar_and_the_codec_agree_on_every_byte() {
        let (mut agreed, mut unknown) = (0, Vec::new());
        each_message(|key, direction, version| {
            let body = sample::body(key, direction, version, &mut Everything).unwrap();
            match recoded(key, direction, version, &body) {
                Some(again) => {
                    assert_eq!(again.as_deref(), Ok(&body[..]), "{direction:?} {key} v{version}");
                    agreed += 1;
                }
                None => unknown.push(format!("{key} v{version} {direction:?}")),
            }
        });
        assert!(agreed > 500, "{agreed} agreed");
        // An unstable version, and what brokers say to each other.
        let expected = [
            "22 v6 Request",
            "63 v2 Request",
            "63 v2 Response",
            "85 v1 Request",
            "85 v1 Response",
            "87 v1 Request",
            "87 v1 Response",
        ];
        assert_eq!(unknown, expected);
    }

    #[test]
    fn what_the_walk_accepts_decodes() {
        let mut random = Random::seeded(1);
        for _ in 0..10 {
            each_message(|key, direction, version| {
                let body = sample::body(key, direction, version, &mut random).unwrap();
                let walked = grammar().walk(key, direction, version, &body, usize::MAX);
                assert!(walked.is_ok(), "{direction:?} {key} v{version}: {walked:?}");
                fuzz_walk(&[&[key as u8, direction as u8, version as u8, 0], &body[..]].concat());
            });
        }
    }

    #[test]
    fn what_the_walk_accepts_of_broken_bodies_decodes_too() {
        let mut random = Random::seeded(2);
        let (mut accepted, mut total) = (0, 0);
        for _ in 0..10 {
            each_message(|key, direction, version| {
                let mut body = sample::body(key, direction, version, &mut random).unwrap();
                random.damage(&mut body);
                total += 1;
                accepted += usize::from(grammar().walk(key, direction, version, &body, 10_000).is_ok());
                fuzz_walk(&[&[key as u8, direction as u8, version as u8, 0], &body[..]].concat());
            });
        }
        assert!(accepted > total / 20 && accepted < total, "{accepted} of {total}: telling only in between");
    }

    #[test]
    fn random_bytes_do_no_harm() {
        fuzzing::seeded(20_000, 64, fuzz_walk);
    }
}
