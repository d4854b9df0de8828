//! Chance, all of it from one number.

use fastrand::Rng;

/// What happened by chance in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed(pub u64);

impl Seed {
    /// A stream of its own for each purpose and number, so that what one part draws does not change what others draw.
    pub(crate) fn stream(self, purpose: &str, number: u64) -> Rng {
        Rng::with_seed(digest(self.0, &[purpose.as_bytes(), &number.to_le_bytes()]))
    }
}

/// Of these parts behind what `previous` stands for.
pub(crate) fn digest(previous: u64, parts: &[&[u8]]) -> u64 {
    let mut state = previous ^ 0x9e37_79b9_7f4a_7c15;
    for part in parts {
        for bytes in part.chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            state = mixed(state ^ u64::from_le_bytes(word));
        }
        state = mixed(state ^ part.len() as u64);
    }
    state
}

/// The last step of splitmix64 (Steele, Lea and Flood 2014).
const fn mixed(mut state: u64) -> u64 {
    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
