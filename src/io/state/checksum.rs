//! FNV-1a, 64 bits: a checksum that is the same in every build.
//!
//! The standard library's hashers may change between Rust releases, so they must not appear in a file or its name.
//! FNV-1a detects corruption. It does not protect against forgery; file ownership does.

/// The FNV-1a hash of `bytes` (draft-eastlake-fnv, 64-bit offset basis and prime).
pub(super) fn fnv1a_64(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_published_test_vectors() {
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("b", 0xaf63_df4c_8601_f1a5),
            ("fo", 0x0898_5907_b541_d342),
            ("foobar", 0x8594_4171_f739_67e8),
            ("chongo was here!\n", 0x4681_0940_eff5_f915),
        ] {
            assert_eq!(fnv1a_64(text.as_bytes()), hash, "{text:?}");
        }
    }
}
