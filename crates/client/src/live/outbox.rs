//! Requests that wait for their answers, in order, over any number of connections.

use std::{collections::VecDeque, num::NonZeroUsize, time::Duration};

use edgewise_core::proto::{Envelope, envelope::Payload};
use tokio::{sync::oneshot, time::Instant};

use super::request::{Reply, Request};
use crate::{Error, Retry, retry::Attempts};

/// For how long an answer may be out before the connection counts as broken.
const ANSWER: Duration = Duration::from_secs(20);

pub(crate) type ReplyTo = oneshot::Sender<Result<Reply, Error>>;

#[derive(Debug)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    requests: u64,
    in_flight: usize,
    retry: Retry,
    /// The server asked for a pause until then.
    quiet: Option<Instant>,
    /// The server limits how fast requests may come: one at a time, until all are through.
    paced: bool,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    request: Request,
    reply: ReplyTo,
    place: Place,
    /// It may have taken effect already.
    uncertain: bool,
    /// From when the server first put it off.
    attempts: Option<Attempts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here,
    Socket { since: Instant },
    Rest,
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The request is settled, or will be tried again.
    Yes,
    /// The server does not take such a request over the socket: it waits for REST.
    Unsupported,
}

impl Outbox {
    pub(crate) fn new(in_flight: NonZeroUsize, retry: Retry) -> Self {
        Self {
            entries: VecDeque::new(),
            requests: 0,
            in_flight: in_flight.get(),
            retry,
            quiet: None,
            paced: false,
        }
    }

    pub(crate) fn push(&mut self, request: Request, reply: ReplyTo) {
        self.requests += 1;
        self.entries.push_back(Entry {
            id: self.requests,
            request,
            reply,
            place: Place::Here,
            uncertain: false,
            attempts: None,
        });
    }

    /// The next request to go over the socket, if one may go now.
    pub(crate) fn next_frame(&mut self) -> Option<Envelope> {
        let out = self.entries.iter().filter(|entry| entry.place != Place::Here).count();
        let over_rest = self.entries.iter().any(|entry| entry.place == Place::Rest);
        let in_flight = if self.paced { 1 } else { self.in_flight };
        if over_rest || out >= in_flight || self.is_quiet() {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| entry.place == Place::Here)?;
        entry.place = Place::Socket { since: Instant::now() };
        let payload = Some(entry.request.payload());
        Some(Envelope { request_id: entry.id.to_string(), revision: 0, payload })
    }

    /// The next request to go over REST, where one goes at a time.
    pub(crate) fn next_call(&mut self) -> Option<(u64, Request)> {
        if self.is_quiet() || self.entries.iter().any(|entry| entry.place != Place::Here) {
            return None;
        }
        let entry = self.entries.front_mut()?;
        entry.place = Place::Rest;
        Some((entry.id, entry.request.clone()))
    }

    /// An answer from the socket; one to a request that is not out changes nothing.
    pub(crate) fn answer(&mut self, request_id: &str, answer: Payload) -> Answered {
        let Some(entry) = request_id.parse().ok().and_then(|id| self.find(id)) else { return Answered::Yes };
        let reply = entry.request.reply(answer);
        if reply.as_ref().is_err_and(|error| error.code() == Some("REQUEST_UNSUPPORTED")) {
            entry.place = Place::Here;
            return Answered::Unsupported;
        }
        let id = entry.id;
        self.settle(id, reply);
        Answered::Yes
    }

    /// What a request came to: told to whoever asked, or tried again where the server put it off.
    pub(crate) fn settle(&mut self, id: u64, mut reply: Result<Reply, Error>) {
        let retry = self.retry;
        let Some(entry) = self.find(id) else { return };
        if let Err(error) = &reply {
            if entry.uncertain && error.code().is_some() && error.code() == entry.request.done_code() {
                reply = Ok(Reply::Done);
            } else if error.is_retryable() {
                let attempts = entry.attempts.get_or_insert_with(|| retry.start());
                // Being too fast is no failure: however long the queue, each request waits for its turn.
                let too_fast = error.code() == Some("RATE_LIMITED") && retry != Retry::NEVER;
                let pause = if too_fast {
                    Some(error.retry_after().unwrap_or(retry.first))
                } else {
                    attempts.next(error.retry_after())
                };
                if let Some(pause) = pause {
                    entry.place = Place::Here;
                    entry.uncertain |= error.is_uncertain();
                    self.quiet = Some(Instant::now() + pause);
                    self.paced |= too_fast;
                    return;
                }
            }
        }
        let place = self.entries.iter().position(|entry| entry.id == id);
        if let Some(entry) = place.and_then(|place| self.entries.remove(place)) {
            // Who asked may not want to know any more.
            let _ = entry.reply.send(reply);
        }
        self.paced &= !self.entries.is_empty();
    }

    /// The connection is gone, and with it the answers to what was out.
    pub(crate) fn disconnected(&mut self) {
        for entry in &mut self.entries {
            if let Place::Socket { .. } = entry.place {
                entry.place = Place::Here;
                entry.uncertain = true;
            }
        }
    }

    /// When there is something to do without an answer coming in.
    pub(crate) fn wakeup(&self) -> Option<Instant> {
        let waiting = self.entries.iter().any(|entry| entry.place == Place::Here);
        let quiet = self.quiet.filter(|_| waiting && self.is_quiet());
        [quiet, self.overdue_at()].into_iter().flatten().min()
    }

    /// Whether an answer has been out for too long.
    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue_at().is_some_and(|at| at <= Instant::now())
    }

    fn overdue_at(&self) -> Option<Instant> {
        let out = self.entries.iter().filter_map(|entry| match entry.place {
            Place::Socket { since } => Some(since),
            Place::Here | Place::Rest => None,
        });
        out.min().map(|since| since + ANSWER)
    }

    fn is_quiet(&self) -> bool {
        self.quiet.is_some_and(|until| Instant::now() < until)
    }

    fn find(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }
}
