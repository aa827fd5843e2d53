//! What leaves on sockets: envelopes, encoded once, several in one frame.

use std::rc::Rc;

use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::{
    ids::{Revision, UserId},
    problem::Problem,
    proto::{Ack, Envelope, envelope::Payload},
};

/// The field numbers of `Envelope.envelope_batch`, `EnvelopeBatch.envelopes` and `SyncResponse.messages`.
const ENVELOPE_BATCH: u32 = 148;
const ENVELOPES: u32 = 1;

/// An encoded envelope.
pub(crate) type Encoded = Rc<[u8]>;

/// A change, as all receivers get it but for the copy of the one user who may see its nonce.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) revision: Revision,
    pub(crate) common: Encoded,
    pub(crate) own: Option<(UserId, Encoded)>,
}

impl Event {
    pub(crate) fn for_user(&self, user: &str) -> &Encoded {
        match &self.own {
            Some((owner, own)) if owner.as_str() == user => own,
            _ => &self.common,
        }
    }
}

/// Encodes an envelope.
pub(crate) fn encode(request_id: &str, revision: Revision, payload: Payload) -> Encoded {
    Envelope { request_id: request_id.to_owned(), revision, payload: Some(payload) }.encode_to_vec().into()
}

/// Encodes what nobody asked for.
pub(crate) fn push(payload: Payload) -> Encoded {
    encode("", 0, payload)
}

/// Encodes the answer to a request.
pub(crate) fn answer(request_id: &str, fate: Result<Ack, Problem>) -> Encoded {
    let payload = match fate {
        Ok(ack) => Payload::Ack(ack),
        Err(problem) => Payload::Error(problem.to_error_response(request_id)),
    };
    encode(request_id, 0, payload)
}

/// The frames that carry these envelopes, in order: one `envelope_batch` for who reads it, else a frame each.
pub(crate) fn frames(envelopes: &[Encoded], batches: bool) -> Vec<Encoded> {
    match envelopes {
        [_, _, ..] if batches => vec![batch(envelopes).into()],
        _ => envelopes.to_vec(),
    }
}

/// `Envelope { envelope_batch: EnvelopeBatch { envelopes } }`, put together from envelopes already encoded.
fn batch(envelopes: &[Encoded]) -> Vec<u8> {
    let field = |length: usize| encoded_len_varint(length as u64) + length;
    let inner: usize = envelopes.iter().map(|envelope| key_len(ENVELOPES) + field(envelope.len())).sum();
    let mut bytes = Vec::with_capacity(key_len(ENVELOPE_BATCH) + field(inner));
    encode_key(ENVELOPE_BATCH, WireType::LengthDelimited, &mut bytes);
    encode_varint(inner as u64, &mut bytes);
    for envelope in envelopes {
        encode_key(ENVELOPES, WireType::LengthDelimited, &mut bytes);
        encode_varint(envelope.len() as u64, &mut bytes);
        bytes.extend_from_slice(envelope);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{CaughtUpEvent, EnvelopeBatch};

    fn caught_up(revision: Revision) -> Payload {
        Payload::CaughtUpEvent(CaughtUpEvent { revision })
    }

    #[test]
    fn a_batch_is_what_prost_would_encode() {
        let envelopes: Vec<_> = (0..200).map(|n| encode("id", n, caught_up(n * 1_000_003))).collect();
        let expected = EnvelopeBatch {
            envelopes: envelopes.iter().map(|bytes| Envelope::decode(&**bytes).unwrap()).collect(),
        };
        let [frame] = &frames(&envelopes, true)[..] else { panic!("one frame") };
        assert_eq!(**frame, *push(Payload::EnvelopeBatch(expected)));
    }

    #[test]
    fn alone_or_unbatched_each_is_its_own_frame() {
        let one = push(caught_up(1));
        assert_eq!(frames(std::slice::from_ref(&one), true), std::slice::from_ref(&one));
        assert_eq!(frames(&[one.clone(), one.clone()], false), [one.clone(), one]);
    }
}
