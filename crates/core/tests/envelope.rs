//! Signed envelopes: what passes is what its author signed, for this channel of this network, whatever was done to the
//! bytes on the way.

use ed25519_dalek::{Signer as _, SigningKey};
use edgewise_core::{
    engine::{Command, Signature},
    envelope::{MAX_BYTES, Network, Rules, Said, Seal, Sealed, signed_bytes},
    ids::ChannelId,
    problem::{Code, Problem},
    proto::{
        ChatMessage, EditMessageRequest, GossipEnvelope, MessageType, SendMessageRequest, envelope::Payload,
    },
};
use proptest::prelude::*;
use prost::Message as _;

const CHANNEL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const MESSAGE: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn channel() -> ChannelId {
    ChannelId::parse(CHANNEL).unwrap()
}

/// A message to the channel, yet to be signed.
fn chat(content: &str) -> (MessageType, ChatMessage) {
    let payload = ChatMessage {
        channel_id: CHANNEL.into(),
        content: content.into(),
        nonce: "n".into(),
        ..ChatMessage::default()
    };
    (MessageType::Chat, payload)
}

fn edit(content: &str) -> (MessageType, ChatMessage) {
    let payload = ChatMessage { id: MESSAGE.into(), content: content.into(), ..ChatMessage::default() };
    (MessageType::ChatEdit, payload)
}

fn envelope((message_type, payload): (MessageType, ChatMessage)) -> GossipEnvelope {
    GossipEnvelope {
        topic: format!("edgewise/{CHANNEL}"),
        message_type: message_type.into(),
        timestamp: 1_795_000_000_000,
        sequence_hint: 7,
        payload: payload.encode_to_vec(),
        ..GossipEnvelope::default()
    }
}

fn sign(mut envelope: GossipEnvelope) -> GossipEnvelope {
    envelope.sender_pubkey = key(1).verifying_key().to_bytes().to_vec();
    envelope.signature = key(1).sign(&signed_bytes(&envelope)).to_bytes().to_vec();
    envelope
}

fn said(envelope: &GossipEnvelope) -> Result<Said, Problem> {
    Sealed::open(&envelope.encode_to_vec())?.said(&Network::default(), channel())
}

#[track_caller]
fn refused(envelope: &GossipEnvelope, code: Code) {
    match said(envelope) {
        Err(problem) => assert_eq!(problem.code, code, "{problem}"),
        Ok(said) => panic!("taken: {said:?}"),
    }
}

#[test]
fn the_bytes_that_are_signed_are_those_of_the_contract() {
    let envelope = GossipEnvelope {
        topic: "net/ab".into(),
        message_type: MessageType::ChatEdit.into(),
        timestamp: 0x0102_0304_0506_0708,
        sequence_hint: 9,
        payload: vec![0xff, 0xfe],
        ..GossipEnvelope::default()
    };
    assert_eq!(
        hex::encode(signed_bytes(&envelope)),
        "6e65742f61620000000401020304050607080000000000000009fffe"
    );
}

#[test]
fn what_was_signed_is_what_is_read() {
    let (kind, mut payload) = chat("Hello, @user:ben");
    payload.reply_to_id = Some(MESSAGE.into());
    // What only the server may say counts for nothing.
    payload.sender_id = "mallory".into();
    payload.server_sequence = 99;
    match said(&sign(envelope((kind, payload)))).unwrap() {
        Said::Message { content, reply_to, nonce } => {
            assert_eq!(content.as_str(), "Hello, @user:ben");
            assert_eq!(reply_to.unwrap().to_string(), MESSAGE);
            assert_eq!(nonce.unwrap().as_str(), "n");
        }
        other @ Said::Edit { .. } => panic!("{other:?}"),
    }
    match said(&sign(envelope(edit("Hello again")))).unwrap() {
        Said::Edit { message, content } => {
            assert_eq!((message.to_string().as_str(), content.as_str()), (MESSAGE, "Hello again"));
        }
        other @ Said::Message { .. } => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_for_here_is_refused() {
    let other = CHANNEL.replace("8057", "8059");
    let with = |change: &dyn Fn(&mut GossipEnvelope)| {
        let mut envelope = envelope(chat("hi"));
        change(&mut envelope);
        sign(envelope)
    };
    for topic in [
        format!("edgewise/{other}"),
        format!("elsewhere/{CHANNEL}"),
        format!("edgewise/{}", CHANNEL.to_uppercase()),
        format!("edgewise/{CHANNEL} "),
        format!("edgewise//{CHANNEL}"),
        CHANNEL.to_owned(),
        String::new(),
    ] {
        refused(&with(&|envelope| envelope.topic.clone_from(&topic)), Code::EnvelopeMismatch);
    }
    for kind in [0, 2, 3, 5, 99, -1, i32::MAX] {
        refused(&with(&|envelope| envelope.message_type = kind), Code::EnvelopeMismatch);
    }
    refused(&with(&|envelope| envelope.timestamp = 1 << 53), Code::EnvelopeMismatch);
    refused(&with(&|envelope| envelope.payload = vec![0xff]), Code::EnvelopeMismatch);
    refused(&sign(envelope(chat("hi "))), Code::EnvelopeMismatch);
    refused(&sign(envelope(edit("\u{3000}hi"))), Code::EnvelopeMismatch);
    refused(&sign(envelope(chat(""))), Code::ContentEmpty);
    refused(&sign(envelope(chat(&"x".repeat(4_001)))), Code::ContentTooLong);
    let payload = |change: &dyn Fn(&mut ChatMessage)| {
        let (kind, mut payload) = chat("hi");
        change(&mut payload);
        sign(envelope((kind, payload)))
    };
    refused(&payload(&|payload| payload.channel_id.clone_from(&other)), Code::EnvelopeMismatch);
    refused(&payload(&|payload| payload.channel_id.clear()), Code::EnvelopeMismatch);
    refused(&payload(&|payload| payload.nonce = "x".repeat(65)), Code::NonceInvalid);
    refused(&payload(&|payload| payload.reply_to_id = Some("x".into())), Code::IdInvalid);
    let upper = MESSAGE.to_uppercase();
    refused(&payload(&|payload| payload.reply_to_id = Some(upper.clone())), Code::EnvelopeMismatch);
    let (kind, mut of_another) = edit("hi");
    of_another.channel_id = other.clone();
    refused(&sign(envelope((kind, of_another))), Code::EnvelopeMismatch);
    refused(
        &sign(envelope((MessageType::ChatEdit, ChatMessage { content: "x".into(), ..Default::default() }))),
        Code::IdInvalid,
    );
}

#[test]
fn a_signature_is_its_authors_or_none() {
    let signed = sign(envelope(chat("hi")));
    let of_another =
        GossipEnvelope { sender_pubkey: key(2).verifying_key().to_bytes().to_vec(), ..signed.clone() };
    refused(&of_another, Code::SignatureInvalid);
    let none = GossipEnvelope { signature: Vec::new(), ..signed.clone() };
    refused(&none, Code::SignatureInvalid);
    let no_key = GossipEnvelope { sender_pubkey: Vec::new(), ..signed.clone() };
    refused(&no_key, Code::SignatureInvalid);
    // The same point with S + L: a second signature of the same message to whoever does not look.
    let mut second = signed.clone();
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0u16;
    for (byte, add) in second.signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_ne!(second, signed);
    refused(&second, Code::SignatureInvalid);
    // A key of order 1, with which everything is signed by (R, S) = (identity, 0).
    let mut identity = vec![0; 32];
    identity[0] = 1;
    let small = GossipEnvelope {
        signature: [identity.clone(), vec![0; 32]].concat(),
        sender_pubkey: identity,
        ..signed
    };
    refused(&small, Code::SignatureInvalid);
}

#[test]
fn an_envelope_has_at_most_20_kib() {
    let of_size = |padding: usize| {
        let (kind, mut payload) = chat("hi");
        payload.sender_display_name = "x".repeat(padding);
        sign(envelope((kind, payload))).encode_to_vec()
    };
    let fits = of_size(MAX_BYTES - 500);
    let fits = of_size(MAX_BYTES - 500 + MAX_BYTES - fits.len());
    assert_eq!(fits.len(), MAX_BYTES);
    Sealed::open(&fits).unwrap();
    let code = Sealed::open(&of_size(MAX_BYTES)).unwrap_err().code;
    assert_eq!(code, Code::EnvelopeTooLarge);
}

#[test]
fn a_network_has_a_plain_name() {
    for right in ["edgewise", "a", "A_b.c-9", &"x".repeat(64)] {
        assert!(Network::parse(right).is_ok(), "{right}");
    }
    for wrong in ["", "a/b", "a b", "ä", &"x".repeat(65)] {
        assert!(Network::parse(wrong).is_err(), "{wrong}");
    }
    let network = Network::parse("net").unwrap();
    assert_eq!(network.channel(&format!("net/{CHANNEL}")).unwrap(), channel());
    assert_eq!(network.channel(&format!("edgewise/{CHANNEL}")).unwrap_err().code, Code::EnvelopeMismatch);
}

/// As a request, with what else it says.
fn parse(payload: Payload, required: bool) -> Result<Command, Problem> {
    Command::parse(payload, &Rules { required, ..Rules::new(channel()) }, Signature::Unverified)
}

fn send_request(change: impl FnOnce(&mut SendMessageRequest)) -> Payload {
    let mut request = SendMessageRequest {
        envelope: sign(envelope(chat("hi"))).encode_to_vec(),
        ..SendMessageRequest::default()
    };
    change(&mut request);
    Payload::SendMessageRequest(request)
}

#[test]
fn what_is_said_beside_an_envelope_must_be_what_was_signed() {
    assert!(parse(send_request(|_| {}), true).is_ok());
    assert!(parse(send_request(|request| "hi".clone_into(&mut request.content)), false).is_ok());
    assert!(parse(send_request(|request| "n".clone_into(&mut request.nonce)), false).is_ok());
    let code = |payload| parse(payload, false).unwrap_err().code;
    assert_eq!(code(send_request(|request| "ho".clone_into(&mut request.content))), Code::EnvelopeMismatch);
    assert_eq!(code(send_request(|request| "m".clone_into(&mut request.nonce))), Code::EnvelopeMismatch);
    assert_eq!(
        code(send_request(|request| request.reply_to_id = Some(MESSAGE.into()))),
        Code::EnvelopeMismatch
    );
    // An edit is no message, and the other way round.
    let edit = sign(envelope(edit("hi"))).encode_to_vec();
    assert_eq!(code(send_request(|request| request.envelope.clone_from(&edit))), Code::EnvelopeMismatch);
    let request = |message_id: &str, envelope: &[u8]| {
        Payload::EditMessageRequest(EditMessageRequest {
            message_id: message_id.into(),
            envelope: envelope.to_vec(),
            ..EditMessageRequest::default()
        })
    };
    assert!(parse(request(MESSAGE, &edit), true).is_ok());
    assert!(parse(request("", &edit), true).is_ok());
    assert_eq!(code(request(CHANNEL, &edit)), Code::EnvelopeMismatch);
    let chat = sign(envelope(chat("hi"))).encode_to_vec();
    assert_eq!(code(request(MESSAGE, &chat)), Code::EnvelopeMismatch);
}

#[test]
fn where_signatures_are_required_nothing_else_is_taken() {
    let unsigned = [
        Payload::SendMessageRequest(SendMessageRequest { content: "hi".into(), ..Default::default() }),
        Payload::EditMessageRequest(EditMessageRequest {
            message_id: MESSAGE.into(),
            content: "hi".into(),
            ..Default::default()
        }),
    ];
    for payload in unsigned {
        assert!(parse(payload.clone(), false).is_ok());
        assert_eq!(parse(payload, true).unwrap_err().code, Code::SignatureRequired);
    }
}

/// An unknown field, or several.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    let field = (8u32..2_000, prop::collection::vec(any::<u8>(), 0..30)).prop_map(|(number, value)| {
        let mut bytes = Vec::new();
        prost::encoding::bytes::encode(number, &value, &mut bytes);
        bytes
    });
    prop::collection::vec(field, 1..4).prop_map(|fields| fields.concat())
}

fn seal(bytes: &[u8]) -> Result<Seal, Problem> {
    Ok(Sealed::open(bytes)?.seal())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bit is turned: it is noticed.
    #[test]
    fn no_altered_envelope_passes(content in "[a-zé@:]{1,40}", bit in any::<prop::sample::Index>()) {
        let mut bytes = sign(envelope(chat(&content))).encode_to_vec();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let taken = seal(&bytes);
        prop_assert!(taken.is_err(), "bit {} of {}: {:?}", bit, bytes.len(), taken);
        let code = taken.unwrap_err().code;
        prop_assert!(matches!(code, Code::SignatureInvalid | Code::BodyInvalid), "{:?}", code);
    }

    #[test]
    fn no_part_of_an_envelope_passes(content in "[a-z]{1,40}", length in any::<prop::sample::Index>()) {
        let bytes = sign(envelope(chat(&content))).encode_to_vec();
        let length = length.index(bytes.len());
        prop_assert!(seal(&bytes[..length]).is_err());
    }

    /// Unknown fields before and after: the same message, and they go no further.
    #[test]
    fn what_is_not_signed_is_dropped(before in unknown(), after in unknown()) {
        let bytes = sign(envelope(chat("hi"))).encode_to_vec();
        let padded = [before, bytes.clone(), after].concat();
        prop_assert_eq!(seal(&padded).unwrap(), seal(&bytes).unwrap());
    }

    #[test]
    fn bytes_that_are_no_envelope_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(seal(&bytes).is_err());
    }

    /// The digest is the key's and the signed bytes', and nothing else's.
    #[test]
    fn another_message_has_another_digest(a in "[a-c]{1,3}", b in "[a-c]{1,3}", later in 0u64..2) {
        let one = sign(envelope(chat(&a)));
        let mut two = envelope(chat(&b));
        two.timestamp += later;
        let two = sign(two);
        let same = a == b && later == 0;
        let digest = |envelope: &GossipEnvelope| seal(&envelope.encode_to_vec()).unwrap().digest;
        prop_assert_eq!(digest(&one) == digest(&two), same);
    }
}
