use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::PathBuf,
};

use clap::Args;
use edgewise_client::{Client, Draft, Message};
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

use super::channels::counted;
use crate::{
    context::{Context, patient},
    failure::{Failure, asked},
    find,
    replay::{Op, parse},
    screen::note,
};

/// Send a conversation from a file of JSON lines.
///
/// Every message goes under a nonce made of the file's name and the message's key, so that a replay that broke off is
/// simply started again, and goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise replay general tests/data/conversation.jsonl
  edgewise replay general conversation.jsonl --tokens tokens.json
  edgewise replay general conversation.jsonl --run 2

A line of the file:
  {\"op\":\"send\",\"key\":\"m1\",\"as\":\"ana\",\"content\":\"Hello\",\"reply_to\":\"m0\"}
Other operations are edit, delete, react and unreact.")]
pub(crate) struct Replay {
    /// A channel's name or id.
    channel: String,
    /// The conversation.
    file: PathBuf,
    /// A JSON object with a token for each speaker; who is not in it speaks with the command's own token.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// A name for this replay: under another one, the same file is sent anew.
    #[arg(long, value_name = "NAME", default_value = "")]
    run: String,
}

impl Replay {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let shown = self.file.display();
        let text = fs::read_to_string(&self.file).map_err(|error| asked(format!("{shown}: {error}")))?;
        let ops = parse(&text).map_err(|fault| asked(format!("{shown}, {fault}")))?;
        let own = context.client.clone().with_retry(patient(120));
        let channel = find::channel(&context.client, &self.channel).await?;
        let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut player = Player {
            speakers: self.speakers(&own)?,
            own,
            channel_id: channel.id,
            seed: format!("edgewise replay\n{name}\n{}", self.run),
            sent: HashMap::new(),
            reactions: HashMap::new(),
            repeated: 0,
        };
        player.play(&ops).await?;
        let (sent, others) = (player.sent.len(), ops.len() - player.sent.len());
        let mut report =
            format!("{} and {}", counted(sent as u64, "message"), counted(others as u64, "other operation"));
        if player.repeated > 0 {
            report += &format!("; {} had been sent before", counted(player.repeated, "message"));
        }
        note(&report);
        Ok(())
    }

    fn speakers(&self, own: &Client) -> Result<HashMap<String, Client>, Failure> {
        let Some(path) = &self.tokens else { return Ok(HashMap::new()) };
        let fault = |error: &dyn std::fmt::Display| asked(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| fault(&error))?;
        let tokens: HashMap<String, String> = serde_json::from_str(&text).map_err(|error| fault(&error))?;
        Ok(tokens.into_iter().map(|(speaker, token)| (speaker, own.clone().with_token(token))).collect())
    }
}

/// A message that was sent, and by whom.
struct Sent {
    message: Message,
    speaker: String,
}

struct Player {
    own: Client,
    speakers: HashMap<String, Client>,
    channel_id: String,
    seed: String,
    sent: HashMap<String, Sent>,
    /// Who of the conversation stands behind a reaction: several, where they share a token.
    reactions: HashMap<(Option<String>, String, String), BTreeSet<String>>,
    /// How many messages had been sent before.
    repeated: u64,
}

impl Player {
    /// Plays from the beginning, or from where an earlier replay broke off.
    ///
    /// Operations go one after the other, so whatever comes before a message that had been sent was done, too. Until
    /// the first new message, edits and the like wait to see whether such a message follows.
    async fn play(&mut self, ops: &[Op]) -> Result<(), Failure> {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}");
        let progress = ProgressBar::new(ops.len() as u64);
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let mut doubtful: Vec<&Op> = Vec::new();
        let mut repeating = true;
        for op in ops {
            if let Op::Send { key, speaker, content, reply_to } = op {
                let replayed = self.send(key, speaker, content, reply_to.as_deref()).await?;
                let before = std::mem::take(&mut doubtful);
                if !replayed {
                    repeating = false;
                    for op in before {
                        self.apply(op).await?;
                    }
                }
            } else {
                self.count(op);
                if repeating {
                    doubtful.push(op);
                } else {
                    self.apply(op).await?;
                }
            }
            progress.inc(1);
        }
        for op in doubtful {
            self.apply(op).await?;
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// Whether it had been sent before.
    async fn send(
        &mut self,
        key: &str,
        speaker: &str,
        content: &str,
        reply_to: Option<&str>,
    ) -> Result<bool, Failure> {
        let nonce = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{}\n{key}", self.seed).as_bytes());
        let mut draft = Draft::new(content).with_nonce(nonce.to_string());
        if let Some(target) = reply_to {
            draft = draft.reply_to(self.sent(target)?.message.id.clone());
        }
        let sent = self.speaker(speaker).send(&self.channel_id, draft).await?;
        self.repeated += u64::from(sent.replayed);
        self.sent.insert(key.to_owned(), Sent { message: sent.message, speaker: speaker.to_owned() });
        Ok(sent.replayed)
    }

    /// Keeps count of who of the conversation stands behind a reaction.
    fn count(&mut self, op: &Op) {
        match op {
            Op::React { key, speaker, emoji } => {
                let voice = self.voice(speaker);
                let behind = self.reactions.entry((voice, key.clone(), emoji.clone())).or_default();
                behind.insert(speaker.clone());
            }
            Op::Unreact { key, speaker, emoji } => {
                let voice = self.voice(speaker);
                if let Some(behind) = self.reactions.get_mut(&(voice, key.clone(), emoji.clone())) {
                    behind.remove(speaker);
                }
            }
            Op::Send { .. } | Op::Edit { .. } | Op::Delete { .. } => {}
        }
    }

    /// Everything but a send; what an earlier replay has done already stays as it is.
    async fn apply(&self, op: &Op) -> Result<(), Failure> {
        let channel_id = &self.channel_id;
        let done = match op {
            Op::Send { .. } => return Ok(()),
            Op::Edit { key, content } => {
                let Sent { message, speaker } = self.sent(key)?;
                if message.content == *content {
                    return Ok(());
                }
                self.speaker(speaker).edit(channel_id, &message.id, content.as_str()).await.map(drop)
            }
            Op::Delete { key, speaker } => {
                let sent = self.sent(key)?;
                let speaker = speaker.as_ref().unwrap_or(&sent.speaker);
                self.speaker(speaker).delete(channel_id, &sent.message.id).await
            }
            Op::React { key, speaker, emoji } => {
                let message = &self.sent(key)?.message;
                self.speaker(speaker).react(channel_id, &message.id, emoji).await.map(drop)
            }
            Op::Unreact { key, speaker, emoji } => {
                let message = &self.sent(key)?.message;
                let behind = self.reactions.get(&(self.voice(speaker), key.clone(), emoji.clone()));
                if behind.is_some_and(|behind| !behind.is_empty()) {
                    return Ok(());
                }
                self.speaker(speaker).unreact(channel_id, &message.id, emoji).await
            }
        };
        match done {
            Err(error) if self.repeated > 0 && find::is_gone(&error) => Ok(()),
            done => done.map_err(Failure::from),
        }
    }

    fn sent(&self, key: &str) -> Result<&Sent, Failure> {
        self.sent.get(key).ok_or_else(|| asked(format!("there is no message {key} yet")))
    }

    fn speaker(&self, speaker: &str) -> &Client {
        self.speakers.get(speaker).unwrap_or(&self.own)
    }

    /// Under whose token a speaker goes: their own, or the command's.
    fn voice(&self, speaker: &str) -> Option<String> {
        self.speakers.contains_key(speaker).then(|| speaker.to_owned())
    }
}
