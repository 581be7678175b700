//! Seeded random inputs, with which the unit tests call the fuzz entries of this room.

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
}

/// Calls `entry` with `rounds` random inputs of up to `bytes_max` bytes.
pub(super) fn seeded(rounds: u64, bytes_max: usize, entry: impl Fn(&[u8])) {
    for round in 0..rounds {
        let mut random = Random::seeded(round + 1);
        let bytes = random.below(bytes_max + 1);
        entry(&(0..bytes).map(|_| random.byte()).collect::<Vec<_>>());
    }
}
