//! Ed25519 where implementations differ: each case is one that a lax verifier lets pass.

use curve25519_dalek::{
    EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT as B, constants::EIGHT_TORSION,
    traits::IsIdentity,
};
use ed25519_dalek::{Signer as _, SigningKey};
use edgewise_core::signature::{InvalidKey, InvalidSignature, PublicKey, Signature};
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

/// The order of the base point, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn key(signer: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(signer.verifying_key().as_bytes()).unwrap()
}

fn signature(point: EdwardsPoint, scalar: Scalar) -> Signature {
    Signature::from_bytes(&[point.compress().to_bytes(), scalar.to_bytes()].concat()).unwrap()
}

/// What a signature's scalar is computed with: SHA-512 over R, A and the message.
fn hash(r: EdwardsPoint, a: EdwardsPoint, message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r.compress().as_bytes()).chain_update(a.compress().as_bytes());
    Scalar::from_bytes_mod_order_wide(&hash.chain_update(message).finalize().into())
}

#[test]
fn the_first_vectors_of_rfc_8032() {
    let vectors = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ];
    for (public, message, signature) in vectors {
        let (key, signature) = (PublicKey::parse(public).unwrap(), Signature::parse(signature).unwrap());
        let message = hex::decode(message).unwrap();
        assert_eq!(key.verify(&message, &signature), Ok(()));
        assert_eq!(key.verify(&[&message[..], b"x"].concat(), &signature), Err(InvalidSignature));
        assert_eq!(key.to_string(), public);
        assert_eq!(PublicKey::parse(&public.to_uppercase()), Ok(key));
    }
}

#[test]
fn a_fingerprint_is_forty_characters_of_sha_256() {
    let key = PublicKey::parse("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
    // printf d75a… | xxd -r -p | sha256sum | cut -c -40
    assert_eq!(key.fingerprint(), "21fe31dfa154a261626bf854046fd2271b7bed4b");
}

#[test]
fn keys_of_small_order_are_none() {
    for point in EIGHT_TORSION {
        assert_eq!(PublicKey::from_bytes(point.compress().as_bytes()), Err(InvalidKey));
        // The sign of an x that is zero, set all the same: another spelling.
        let mut other = point.compress().to_bytes();
        other[31] ^= 0x80;
        assert_eq!(PublicKey::from_bytes(&other), Err(InvalidKey));
    }
}

#[test]
fn keys_have_one_spelling() {
    // y and y + p, where that fits into 255 bits: of y below 19 those that are on the curve.
    let mut doubles = 0;
    for y in 0..19_u8 {
        let mut canonical = [0; 32];
        canonical[0] = y;
        let mut second = [0xff; 32];
        second[0] = 0xed + y;
        second[31] = 0x7f;
        if PublicKey::from_bytes(&canonical).is_ok() {
            doubles += 1;
        }
        assert_eq!(PublicKey::from_bytes(&second), Err(InvalidKey), "y = {y}");
    }
    assert!(doubles > 0, "no case of it was tried");
}

#[test]
fn what_is_no_key() {
    let no_point = (0..=u8::MAX)
        .map(|byte| [byte; 32])
        .find(|bytes| curve25519_dalek::edwards::CompressedEdwardsY(*bytes).decompress().is_none());
    let no_point = no_point.expect("half of all strings are no points");
    for bytes in [&no_point[..], &[], &[1; 31], &[1; 33], &[9; 64]] {
        assert_eq!(PublicKey::from_bytes(bytes), Err(InvalidKey));
    }
    for text in ["", "d75a", &"zz".repeat(32), &"d7".repeat(33), &format!("0x{}", "d7".repeat(31))] {
        assert_eq!(PublicKey::parse(text), Err(InvalidKey), "{text}");
    }
    for text in ["", "00", &"zz".repeat(64), &"00".repeat(63), &"00".repeat(65)] {
        assert_eq!(Signature::parse(text), Err(InvalidSignature), "{text}");
    }
}

#[test]
fn a_scalar_that_is_not_reduced_is_refused() {
    let signer = signer();
    let mut bytes = signer.sign(b"once").to_bytes();
    let right = Signature::from_bytes(&bytes).unwrap();
    assert_eq!(key(&signer).verify(b"once", &right), Ok(()));
    // S + L, which a verifier that does not look takes for S.
    let mut carry = 0;
    for (byte, l) in bytes[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(l) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    let second = Signature::from_bytes(&bytes).unwrap();
    assert_eq!(key(&signer).verify(b"once", &second), Err(InvalidSignature));
    bytes[63] |= 0xe0;
    let high_bits = Signature::from_bytes(&bytes).unwrap();
    assert_eq!(key(&signer).verify(b"once", &high_bits), Err(InvalidSignature));
}

#[test]
fn an_r_of_small_order_is_refused() {
    // Whoever has a key can sign with R = T and S = k·a: right by the equation that multiplies by the cofactor, and
    // for some messages right by the other.
    let signer = signer();
    let secret = signer.to_scalar();
    let public = EdwardsPoint::mul_base(&secret);
    for r in EIGHT_TORSION {
        for number in 0..16_u8 {
            let message = [number];
            let s = hash(r, public, &message) * secret;
            assert_eq!(key(&signer).verify(&message, &signature(r, s)), Err(InvalidSignature));
        }
    }
}

#[test]
fn only_the_equation_without_cofactor_counts() {
    // A key with a part of small order, R pure: the equation with cofactor holds for every message, the other where
    // the hash is a multiple of 8. So verifiers of two kinds would disagree on what was said.
    let secret = signer().to_scalar();
    let mixed = EdwardsPoint::mul_base(&secret) + EIGHT_TORSION[1];
    let key = PublicKey::from_bytes(mixed.compress().as_bytes()).unwrap();
    let nonce = Scalar::from(12_345_u64);
    let r = nonce * B;
    for number in 0..64_u8 {
        let k = hash(r, mixed, &[number]);
        let s = nonce + k * secret;
        let holds = (s * B - r - k * mixed).is_identity();
        assert_eq!(key.verify(&[number], &signature(r, s)).is_ok(), holds);
    }
}

proptest! {
    #[test]
    fn what_was_signed_verifies_and_nothing_else(
        seed in any::<[u8; 32]>(),
        message in prop::collection::vec(any::<u8>(), 0..200),
        flip in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let signer = SigningKey::from_bytes(&seed);
        let key = key(&signer);
        let mut signed = [&message[..], &signer.sign(&message).to_bytes()].concat();
        let check = |signed: &[u8]| {
            let (message, signature) = signed.split_at(message.len());
            key.verify(message, &Signature::from_bytes(signature).unwrap())
        };
        prop_assert_eq!(check(&signed), Ok(()));
        let position = flip.index(signed.len());
        signed[position] ^= 1 << bit;
        prop_assert_eq!(check(&signed), Err(InvalidSignature));
    }

    #[test]
    fn any_bytes_are_a_key_or_none(bytes in any::<[u8; 32]>()) {
        if let Ok(key) = PublicKey::from_bytes(&bytes) {
            prop_assert_eq!(PublicKey::parse(&key.to_string()), Ok(key));
            prop_assert_eq!(key.as_bytes(), &bytes);
        }
    }
}
