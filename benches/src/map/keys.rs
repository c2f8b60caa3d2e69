//! Keys, and the order in which they are asked for. All of it is the same in every run.

/// Keys `key-0` to `key-<n - 1>`.
#[must_use]
pub fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("key-{i}")).collect()
}

/// The words of a real text, in its order.
#[must_use]
pub fn words() -> Vec<&'static str> {
    include_str!("../../../LICENSE-APACHE").split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect()
}

/// Spreads numbers over 64 bits, one to one (the output function of Vigna's splitmix64).
#[must_use]
pub fn mixed(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform in `0..1`, from a number.
fn unit(n: u64) -> f64 {
    (mixed(n) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Length of a [`Sequence`].
const LENGTH: usize = 1 << 20;

/// Positions of keys, drawn before the clock starts and walked in a circle.
#[derive(Debug)]
pub struct Sequence(Vec<u32>);

impl Sequence {
    /// Zipf-distributed positions in `0..keys`, with exponent 0.99, after Gray et al., "Quickly generating billion-record
    /// synthetic databases" (1994). The most frequent position is 0.
    ///
    /// # Panics
    /// If there are no keys, or more than 2³² of them.
    #[must_use]
    pub fn zipf(keys: usize) -> Self {
        const THETA: f64 = 0.99;
        assert!(keys > 0);
        let n = keys as f64;
        let zeta: f64 = (1..=keys).map(|i| (i as f64).powf(-THETA)).sum();
        let eta = (1.0 - (2.0 / n).powf(1.0 - THETA)) / (1.0 - (1.0 + 0.5_f64.powf(THETA)) / zeta);
        let position = |i| {
            let u = unit(i);
            let uz = u * zeta;
            if uz < 1.0 {
                0
            } else if uz < 1.0 + 0.5_f64.powf(THETA) {
                1.min(keys - 1)
            } else {
                ((n * (eta * u - eta + 1.0).powf(1.0 / (1.0 - THETA))) as usize).min(keys - 1)
            }
        };
        Self((0..LENGTH as u64).map(|i| u32::try_from(position(i)).expect("fewer than 2^32 keys")).collect())
    }

    /// The position asked for by an operation.
    #[must_use]
    pub fn at(&self, operation: u64) -> usize {
        self.0[operation as usize % LENGTH] as usize
    }
}
