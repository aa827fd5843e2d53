use edgewise_core::proto::ChatMessage;

use super::*;
use crate::Signer;

const CHANNEL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const ELSEWHERE: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

struct Author {
    user_id: &'static str,
    signer: Signer,
}

impl Author {
    fn new(user_id: &'static str, seed: u8) -> Self {
        Self { user_id, signer: Signer::new(&[seed; 32]) }
    }

    /// A message of theirs, as a server shows it that lies about nothing.
    fn says(&self, content: &str, number: u64) -> Message {
        self.says_in(CHANNEL, content, number)
    }

    fn says_in(&self, channel_id: &str, content: &str, number: u64) -> Message {
        let signed = ChatMessage {
            channel_id: channel_id.into(),
            content: content.into(),
            reply_to_id: Some(id(0)),
            ..ChatMessage::default()
        };
        Message {
            id: id(number),
            channel_id: channel_id.into(),
            sender_id: self.user_id.into(),
            sender_pubkey: Some(self.signer.public_key()),
            content: content.into(),
            server_sequence: number,
            revision: number,
            reply_to_id: Some(id(0)),
            envelope: Some(self.signer.message(format!("edgewise/{channel_id}"), &signed)),
            ..Message::default()
        }
    }

    /// The same message after an edit of theirs.
    fn corrects(&self, message: &Message, content: &str, revision: u64) -> Message {
        let signed =
            ChatMessage { id: message.id.clone(), content: content.into(), ..ChatMessage::default() };
        Message {
            content: content.into(),
            revision,
            edited: true,
            edit_timestamp: Some(revision),
            envelope: Some(self.signer.edit(format!("edgewise/{CHANNEL}"), &signed, 0)),
            ..message.clone()
        }
    }
}

fn id(number: u64) -> String {
    format!("01890a5d-ac96-774b-bcce-{number:012}")
}

fn look(witness: &Witness, message: &Message) -> Authenticity {
    let mut message = message.clone();
    witness.look(Some(CHANNEL), &mut message);
    message.authenticity
}

/// Whether a message is found forged by one who has never seen anything, and by one who has seen the truth.
#[track_caller]
fn forged(truth: &[&Message], lie: &Message) {
    let witness = Witness::default();
    for message in truth {
        assert_eq!(look(&witness, message), Authenticity::Verified);
    }
    assert_eq!(look(&witness, lie), Authenticity::Forged, "{lie:?}");
    // What was forged taught nothing.
    if let Some(message) = truth.last() {
        assert_eq!(look(&witness, message), Authenticity::Verified);
    }
}

#[test]
fn what_an_author_signed_is_verified_and_what_nobody_did_is_unsigned() {
    let (witness, ana) = (Witness::default(), Author::new("ana", 1));
    let sent = ana.says("Hello, @user:ben", 1);
    assert_eq!(look(&witness, &sent), Authenticity::Verified);
    assert_eq!(look(&witness, &sent), Authenticity::Verified);
    let unsigned = Message { id: id(2), content: "Hello".into(), ..Message::default() };
    assert_eq!(look(&witness, &unsigned), Authenticity::Unsigned);
    let edited = ana.corrects(&sent, "Hello again", 5);
    assert_eq!(look(&witness, &edited), Authenticity::Verified);
    // Something read before comes late, and reactions raise the revision.
    assert_eq!(look(&witness, &sent), Authenticity::Verified);
    assert_eq!(look(&witness, &Message { revision: 9, ..edited.clone() }), Authenticity::Verified);
    // Deleted: nobody has to sign that.
    let deleted = Message { deleted: true, content: String::new(), envelope: None, revision: 10, ..edited };
    assert_eq!(look(&witness, &deleted), Authenticity::Unsigned);
}

#[test]
fn a_verified_message_says_what_its_envelope_says() {
    let (witness, ana) = (Witness::default(), Author::new("ana", 1));
    let mut message = ana.says("Hello, @user:ben", 1);
    message.mention_user_ids = vec!["carla".into()];
    message.mention_role_ids = vec!["everyone".into()];
    witness.look(None, &mut message);
    assert_eq!(message.authenticity, Authenticity::Verified);
    assert_eq!((message.mention_user_ids, message.mention_role_ids), (vec!["ben".to_owned()], vec![]));
}

#[test]
fn whatever_the_server_alters_is_forged() {
    let (ana, ben) = (Author::new("ana", 1), Author::new("ben", 2));
    let (truth, of_ben) = (ana.says("yes", 1), ben.says("no", 2));
    let lies = [
        Message { content: "no".into(), ..truth.clone() },
        Message { content: "yes ".into(), ..truth.clone() },
        Message { reply_to_id: None, ..truth.clone() },
        Message { reply_to_id: Some(id(7)), ..truth.clone() },
        Message { edited: true, ..truth.clone() },
        Message { sender_pubkey: None, ..truth.clone() },
        Message { sender_pubkey: of_ben.sender_pubkey.clone(), ..truth.clone() },
        Message { channel_id: ELSEWHERE.into(), ..truth.clone() },
        Message { channel_id: String::new(), ..truth.clone() },
        // The envelope of another.
        Message { envelope: of_ben.envelope.clone(), ..truth.clone() },
        Message {
            envelope: of_ben.envelope.clone(),
            sender_pubkey: of_ben.sender_pubkey.clone(),
            ..truth.clone()
        },
        Message { envelope: Some(vec![1, 2, 3]), ..truth.clone() },
        Message { envelope: Some(Vec::new()), ..truth.clone() },
        // What was said elsewhere.
        ana.says_in(ELSEWHERE, "yes", 3),
        Message { channel_id: CHANNEL.into(), ..ana.says_in(ELSEWHERE, "yes", 3) },
    ];
    for lie in &lies {
        forged(&[], lie);
        forged(&[&of_ben, &truth], lie);
    }
}

#[test]
fn a_key_is_one_users_and_a_user_has_one_key() {
    let (ana, ben) = (Author::new("ana", 1), Author::new("ben", 2));
    let truth = ana.says("yes", 1);
    let as_ben = Message { id: id(3), sender_id: "ben".into(), ..ana.says("yes", 3) };
    forged(&[&truth], &as_ben);
    let by_another_key = Author::new("ana", 3).says("no", 4);
    forged(&[&truth], &by_another_key);
    // A client that knows from elsewhere does not have to see anything first.
    let witness = Witness::default();
    assert!(witness.hold("ben", &ben.signer.public_key()));
    assert!(!witness.hold("ben", &ana.signer.public_key()) && !witness.hold("ana", &ben.signer.public_key()));
    assert_eq!(look(&witness, &as_ben), Authenticity::Forged);
    assert_eq!(look(&witness, &ben.says("hi", 5)), Authenticity::Verified);
}

#[test]
fn one_signature_is_one_message() {
    let ana = Author::new("ana", 1);
    let truth = ana.says("yes", 1);
    forged(&[&truth], &Message { id: id(2), server_sequence: 2, revision: 2, ..truth.clone() });
    // An edit names its message.
    let edited = ana.corrects(&truth, "no", 3);
    forged(&[&truth, &edited], &Message { id: id(2), ..edited.clone() });
    forged(&[], &Message { id: id(2), ..edited });
}

#[test]
fn what_was_signed_is_not_shown_otherwise_again() {
    let ana = Author::new("ana", 1);
    let truth = ana.says("yes", 1);
    let stripped = |message: &Message, revision: u64| Message {
        content: "no".into(),
        envelope: None,
        revision,
        ..message.clone()
    };
    forged(&[&truth], &stripped(&truth, 5));
    // It was signed from the start: there never was an unsigned state.
    forged(&[&truth], &stripped(&truth, 0));
    let edited = ana.corrects(&truth, "maybe", 3);
    forged(&[&truth, &edited], &stripped(&edited, 5));
    forged(&[&truth, &edited], &Message { revision: 5, ..truth.clone() });
    let newest = ana.corrects(&truth, "no", 4);
    forged(&[&truth, &edited, &newest], &Message { revision: 9, ..edited.clone() });
    // An edit that is later, and stands before: one of the two is made up.
    forged(&[&truth, &edited], &Message { revision: 2, ..newest.clone() });
    // What an edit leaves alone.
    forged(&[&truth, &edited], &Message { reply_to_id: None, ..newest });
    // Signed by an edit only: what came before was not.
    let witness = Witness::default();
    assert_eq!(look(&witness, &edited), Authenticity::Verified);
    assert_eq!(look(&witness, &stripped(&edited, 2)), Authenticity::Unsigned);
    assert_eq!(look(&witness, &stripped(&edited, 3)), Authenticity::Forged);
}

#[test]
fn a_restored_server_may_be_behind_and_no_more() {
    let (witness, ana) = (Witness::default(), Author::new("ana", 1));
    let truth = ana.says("yes", 1);
    let edited = ana.corrects(&truth, "no", 3);
    for message in [&truth, &edited] {
        assert_eq!(look(&witness, message), Authenticity::Verified);
    }
    let back = Message { revision: 4, ..truth.clone() };
    assert_eq!(look(&witness, &back), Authenticity::Forged);
    witness.server_was_restored();
    assert_eq!(look(&witness, &back), Authenticity::Verified);
    assert_eq!(look(&witness, &Message { envelope: None, ..truth.clone() }), Authenticity::Forged);
    assert_eq!(look(&witness, &Message { sender_id: "ben".into(), ..truth }), Authenticity::Forged);
}

#[test]
fn messages_of_another_network_are_forged() {
    let truth = Author::new("ana", 1).says("yes", 1);
    let elsewhere = Witness::new(Network::parse("elsewhere").unwrap());
    assert_eq!(look(&elsewhere, &truth), Authenticity::Forged);
}

#[test]
fn memory_is_bounded() {
    let (witness, ana) = (Witness::default(), Author::new("ana", 1));
    {
        let mut memory = witness.memory();
        for number in 1..=REMEMBERED as u64 + 5 {
            let mut message = Message { id: id(number), revision: number, ..Message::default() };
            let said = Said::Message {
                content: edgewise_core::content::Content::parse("x").unwrap(),
                reply_to: None,
                nonce: None,
            };
            let proof = Proof { key: "k".into(), timestamp: number, digest: number.to_string(), said };
            memory.take(&mut message, proof);
        }
        assert_eq!(
            (memory.seen.len(), memory.sent.len(), memory.order.len()),
            (REMEMBERED, REMEMBERED, REMEMBERED)
        );
    }
    assert_eq!(look(&witness, &ana.says("still", 200_000)), Authenticity::Verified);
}
