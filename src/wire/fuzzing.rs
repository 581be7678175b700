//! Seeded random inputs, with which the unit tests call the fuzz entries of this room.

use super::sample::Filler;
use super::shape::{Direction, grammar};

/// A small reproducible source of random numbers (xorshift64*); not for anything secret.
pub(super) struct Random(u64);

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    /// A byte, more often than not one that is special as a length, a count or a tag.
    pub fn byte(&mut self) -> u8 {
        const SPECIAL: [u8; 10] = [0, 0, 0, 1, 1, 2, 0x7f, 0x80, 0xfe, 0xff];
        match self.below(3) {
            0 => self.below(256) as u8,
            _ => SPECIAL[self.below(SPECIAL.len())],
        }
    }

    /// Changes up to three bytes: cuts off, inserts, or overwrites.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                _ if at < bytes.len() => bytes[at] = self.byte(),
                _ => {}
            }
        }
    }
}

/// Calls `entry` with `rounds` random inputs of up to `bytes_max` bytes.
pub(super) fn seeded(rounds: u64, bytes_max: usize, entry: impl Fn(&[u8])) {
    for round in 0..rounds {
        let mut random = Random::seeded(round + 1);
        let bytes = random.below(bytes_max + 1);
        entry(&(0..bytes).map(|_| random.byte()).collect::<Vec<_>>());
    }
}

/// Asks `what` of each version of each message.
pub(super) fn each_message(mut what: impl FnMut(i16, Direction, i16)) {
    for key in grammar().keys() {
        for direction in [Direction::Request, Direction::Response] {
            for version in grammar().versions(key, direction).unwrap() {
                what(key, direction, version);
            }
        }
    }
}

/// Fills a sample with small random values; some of what may be absent is.
impl Filler for Random {
    fn text(&mut self, _path: &str) -> String {
        ["", "a", "orders", "grüße", "a-longer-name.with_everything"][self.below(5)].to_owned()
    }

    fn uuid(&mut self, _path: &str) -> uuid::Uuid {
        uuid::Uuid::from_bytes([self.byte(); 16])
    }

    fn bytes(&mut self, _path: &str) -> Vec<u8> {
        vec![self.byte(); self.below(40)]
    }

    fn int(&mut self, _path: &str) -> i64 {
        i64::from(self.byte())
    }

    fn count(&mut self, _path: &str) -> usize {
        self.below(3)
    }

    fn present(&mut self, _path: &str) -> bool {
        self.below(4) > 0
    }
}
