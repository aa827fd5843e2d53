//! A live channel of a server that lies: whatever it does to what others signed, it is found out.

use edgewise_core::proto::{
    CaughtUpEvent, ChatMessage, GossipEnvelope, Hello, MessageEditedEvent, NewMessageEvent, SyncResponse,
    envelope::Payload,
};
use prost::Message as _;

use super::*;
use crate::{
    Authenticity::{self, Forged, Unsigned, Verified},
    Signer,
    peer::{Peer, Socket},
};

const CHANNEL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn id(number: u64) -> String {
    format!("01890a5d-ac96-774b-bcce-{number:012}")
}

/// What ana says, as an honest server hands it on.
fn says(signer: &Signer, content: &str, number: u64) -> ChatMessage {
    let signed =
        ChatMessage { channel_id: CHANNEL.into(), content: content.into(), ..ChatMessage::default() };
    sealed(signer.message(format!("edgewise/{CHANNEL}"), &signed), content, number)
}

fn corrects(signer: &Signer, content: &str, number: u64, revision: u64) -> ChatMessage {
    let signed = ChatMessage { id: id(number), content: content.into(), ..ChatMessage::default() };
    let envelope = signer.edit(format!("edgewise/{CHANNEL}"), &signed, 0);
    ChatMessage {
        edited: true,
        edit_timestamp: Some(revision),
        revision,
        ..sealed(envelope, content, number)
    }
}

fn sealed(envelope: Vec<u8>, content: &str, number: u64) -> ChatMessage {
    let opened = GossipEnvelope::decode(envelope.as_slice()).unwrap();
    ChatMessage {
        id: id(number),
        channel_id: CHANNEL.into(),
        sender_id: "ana".into(),
        sender_pubkey: hex::encode(&opened.sender_pubkey),
        signature: opened.signature,
        content: content.into(),
        server_sequence: number,
        revision: number,
        envelope,
        ..ChatMessage::default()
    }
}

async fn tell(socket: &mut Socket, message: ChatMessage) {
    let revision = message.revision;
    let payload = if message.edited {
        Payload::MessageEditedEvent(MessageEditedEvent {
            message_id: message.id.clone(),
            message: Some(message),
            ..MessageEditedEvent::default()
        })
    } else {
        Payload::NewMessageEvent(NewMessageEvent { message: Some(message) })
    };
    socket.send("", revision, payload).await;
}

/// What the client shows of the next change.
async fn shown(events: &mut Events) -> (String, Authenticity) {
    loop {
        match events.next().await.expect("the channel lives") {
            Event::Change(Change::Created { message } | Change::Edited { message, .. }) => {
                return (message.content, message.authenticity);
            }
            Event::Stopped(error) => panic!("{error}"),
            _ => {}
        }
    }
}

fn expect(content: &str, authenticity: Authenticity) -> (String, Authenticity) {
    (content.to_owned(), authenticity)
}

async fn greet(peer: &Peer, revision: u64) -> Socket {
    let mut socket = peer.socket().await;
    socket.send("", 0, Payload::Hello(Hello { revision, user_id: "ben".into(), ..Hello::default() })).await;
    socket
}

#[tokio::test]
async fn pushes_are_looked_at() {
    let (peer, ana) = (Peer::start().await, Signer::new(&[1; 32]));
    let (_live, mut events) = peer.client().live(CHANNEL).start(Start::Since(0)).await.unwrap();
    let mut socket = greet(&peer, 0).await;
    let truth = says(&ana, "yes", 1);
    tell(&mut socket, truth.clone()).await;
    assert_eq!(shown(&mut events).await, expect("yes", Verified));
    tell(&mut socket, ChatMessage { id: id(2), content: "hm".into(), revision: 2, ..ChatMessage::default() })
        .await;
    assert_eq!(shown(&mut events).await, expect("hm", Unsigned));

    let mut revision = 2;
    let mut lie = |message: ChatMessage| {
        revision += 1;
        ChatMessage { id: id(revision), server_sequence: revision, revision, ..message }
    };
    let other = says(&ana, "no", 90);
    let lies = [
        lie(ChatMessage { content: "no".into(), ..says(&ana, "yes", 3) }),
        lie(ChatMessage { sender_id: "carla".into(), ..says(&ana, "yes", 3) }),
        lie(ChatMessage {
            channel_id: "01890a5d-ac96-774b-bcce-b302099a8058".into(),
            ..says(&ana, "yes", 3)
        }),
        lie(ChatMessage { envelope: other.envelope, ..says(&ana, "yes", 3) }),
        lie(ChatMessage {
            edited: false,
            envelope: corrects(&ana, "yes", 3, 3).envelope,
            ..says(&ana, "yes", 3)
        }),
        // The same once more, under another id.
        lie(truth.clone()),
        lie(says(&Signer::new(&[2; 32]), "yes", 3)),
    ];
    for lie in lies {
        let content = lie.content.clone();
        tell(&mut socket, lie.clone()).await;
        assert_eq!(shown(&mut events).await, (content, Forged), "{lie:?}");
    }

    // An edit; one that nobody signed; the edit before it again.
    let edited = corrects(&ana, "maybe", 1, 20);
    tell(&mut socket, edited.clone()).await;
    assert_eq!(shown(&mut events).await, expect("maybe", Verified));
    tell(
        &mut socket,
        ChatMessage { envelope: Vec::new(), content: "no".into(), revision: 21, ..edited.clone() },
    )
    .await;
    assert_eq!(shown(&mut events).await, expect("no", Forged));
    tell(&mut socket, corrects(&ana, "yes after all", 1, 22)).await;
    assert_eq!(shown(&mut events).await, expect("yes after all", Verified));
    tell(&mut socket, ChatMessage { revision: 23, ..edited }).await;
    assert_eq!(shown(&mut events).await, expect("maybe", Forged));
}

#[tokio::test]
async fn what_was_missed_and_what_is_read_are_looked_at_by_the_same_eyes() {
    let (peer, ana) = (Peer::start().await, Signer::new(&[1; 32]));
    let client = peer.client();
    let truth = says(&ana, "yes", 1);
    let page = serde_json::json!({
        "messages": [Message::from(truth.clone())], "has_more": false, "has_newer": false, "revision": 1,
    });
    let read = client.history(CHANNEL, Position::Newest, None);
    let page = page.to_string();
    let (page, _) = tokio::join!(read, peer.answer(200, &page));
    assert_eq!(page.unwrap().messages[0].authenticity, Verified);

    let (_live, mut events) = client.live(CHANNEL).start(Start::Since(1)).await.unwrap();
    let mut socket = greet(&peer, 3).await;
    let messages = vec![
        // Read before; now it is to have been carla's.
        ChatMessage { id: id(2), sender_id: "carla".into(), revision: 2, ..says(&ana, "I quit", 2) },
        ChatMessage { revision: 3, envelope: Vec::new(), ..truth.clone() },
    ];
    socket.send("", 0, Payload::SyncResponse(SyncResponse { messages, revision: 3, has_more: false })).await;
    socket.send("", 0, Payload::CaughtUpEvent(CaughtUpEvent { revision: 3 })).await;
    let mut told = [shown(&mut events).await, shown(&mut events).await];
    told.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, [expect("I quit", Forged), expect("yes", Forged)]);

    // What the server says of itself counts for nothing.
    let mut claimed =
        serde_json::to_value(Message::from(ChatMessage { content: "no".into(), ..truth })).unwrap();
    claimed["authenticity"] = "verified".into();
    let message_id = id(1);
    let read = client.message(CHANNEL, &message_id);
    let claimed = claimed.to_string();
    let (message, _) = tokio::join!(read, peer.answer(200, &claimed));
    assert_eq!(message.unwrap().authenticity, Forged);
}

#[tokio::test]
async fn what_a_client_sends_is_signed_and_nobody_else_signs_for_it() {
    let peer = Peer::start().await;
    let own = Signer::new(&[7; 32]);
    let key = own.public_key();
    let client = peer.client().with_signer(own);
    let (live, mut events) = client.live(CHANNEL).start(Start::Since(0)).await.unwrap();
    let mut socket = greet(&peer, 0).await;
    let sending = live.send(Draft::new("  mine ").with_nonce("n"));
    let Some(Payload::SendMessageRequest(request)) = socket.receive().await.payload else { panic!() };
    assert!(request.content.is_empty() && request.nonce.is_empty());
    let envelope = GossipEnvelope::decode(request.envelope.as_slice()).unwrap();
    assert_eq!((hex::encode(&envelope.sender_pubkey), envelope.topic), (key, format!("edgewise/{CHANNEL}")));
    let signed = ChatMessage::decode(envelope.payload.as_slice()).unwrap();
    assert_eq!((signed.content.as_str(), signed.nonce.as_str()), ("mine", "n"));
    let message = ChatMessage { sender_id: "ben".into(), ..sealed(request.envelope, "mine", 1) };
    let ack = edgewise_core::proto::Ack { message: Some(message), ..Default::default() };
    socket.send("1", 0, Payload::Ack(ack)).await;
    assert_eq!(sending.await.unwrap().message.authenticity, Verified);

    // A server that makes a key of its own for this user.
    let made_up =
        ChatMessage { sender_id: "ben".into(), revision: 2, ..says(&Signer::new(&[9; 32]), "not mine", 2) };
    tell(&mut socket, made_up).await;
    assert_eq!(shown(&mut events).await, expect("not mine", Forged));
}
