//! The hop from the Worker to a channel's object, shared by the commands that come at the same time.
//!
//! A request to an object is what a write costs most of, far more than its part of the commit. So what the engine does
//! with commits is done with hops too: a command that comes while none is under way leaves at once, and those that come
//! before it is answered gather and leave together, after [`GATHER_MS`] at the latest.
//!
//! Requests of one isolate share its memory, but not their input and output: what one of them began only that one can
//! wait for. So the first of a gathering leads: its request carries the others' commands, stays until they are answered
//! even if its own client hangs up, and raises a signal for each. And as the runtime may end a request at any time,
//! nobody relies on a leader: a gathering that is overdue is taken over by whoever comes next, and who waits gives up in
//! the end.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use edgewise_core::{
    engine::MAX_COMMANDS,
    ids::{ChannelId, Timestamp},
    problem::Problem,
    proto::{Command, Envelope, Outcome, command, envelope::Payload},
};
use prost::Message as _;
use worker::{Date, Env, console_warn};

use crate::{
    border::Signal,
    call::Call,
    object::{self, ATTEMPTS, PATIENCE_MS, Repeat},
};

/// How long commands gather at most, in milliseconds: what a far object adds to a command that did not come alone.
const GATHER_MS: u32 = 5;
/// How many bytes of commands share a hop.
const MOST_BYTES: usize = 1 << 20;
/// A gathering that has not left after so many milliseconds has lost its leader.
const OVERDUE_MS: u64 = 1_000;
/// Of how many channels hops are remembered before those that are over are forgotten.
const REMEMBERED: usize = 256;

type Fate = Result<Outcome, Problem>;

thread_local! {
    static HOPS: RefCell<HashMap<ChannelId, Hops>> = RefCell::default();
}

/// This isolate's hops to one channel.
#[derive(Default)]
struct Hops {
    under_way: u32,
    /// When the last one left.
    departed: Timestamp,
    gathering: Option<Gathering>,
}

/// Commands that wait for the next hop.
struct Gathering {
    opened: Timestamp,
    bytes: usize,
    passengers: Vec<Passenger>,
    departure: Rc<Signal>,
}

struct Passenger {
    seat: Rc<Seat>,
    errand: Errand,
}

/// A command, and what became of it.
struct Errand {
    command: Command,
    repeat: Repeat,
    fate: Option<Fate>,
}

/// Where a request waits for its command's fate.
struct Seat {
    fate: RefCell<Option<Fate>>,
    told: Signal,
}

impl Seat {
    fn tell(&self, fate: Fate) {
        self.fate.replace(Some(fate));
        self.told.raise();
    }

    async fn fate(&self) -> Fate {
        self.told.wait().await;
        self.fate.take().unwrap_or_else(|| Err(object::unavailable("nothing was heard of a command")))
    }
}

/// How a command gets to its object.
enum Way {
    /// At once.
    Alone(Box<Errand>),
    /// With those who gather.
    With(Rc<Seat>),
    /// In front of those who gather until the signal.
    Leading(Rc<Seat>, Rc<Signal>),
}

/// Has a command carried out by its channel's object.
///
/// # Errors
/// 503 `STORAGE_UNAVAILABLE` where the object did not answer, whether or not it carried the command out.
pub(crate) async fn carry(call: &Call, channel: ChannelId, command: Command, repeat: Repeat) -> Fate {
    if !gathers(&command) {
        return alone(&call.env, channel, command, repeat).await;
    }
    let errand = Errand { command, repeat, fate: None };
    match with_hops(channel, call.now, |hops| hops.board(errand, call.now)) {
        Way::Alone(errand) => {
            let fate = alone(&call.env, channel, errand.command, errand.repeat).await;
            arrived(channel);
            fate
        }
        Way::With(seat) => seat.fate().await,
        Way::Leading(seat, departure) => {
            call.context.wait_until(lead(call.env.clone(), channel, departure));
            seat.fate().await
        }
    }
}

/// Whether it is of the kind that many do at once and one commit takes together. The answers of a gathering come
/// together too, so what may take longer (an admission, the deletion of a channel) goes alone.
fn gathers(command: &Command) -> bool {
    let Some(command::Request::Envelope(Envelope { payload: Some(payload), .. })) = &command.request else {
        return false;
    };
    matches!(
        payload,
        Payload::SendMessageRequest(_)
            | Payload::AddReactionRequest(_)
            | Payload::RemoveReactionRequest(_)
            | Payload::UpdateLastReadRequest(_)
    )
}

/// Has a command carried out that shares its hop with no other.
///
/// # Errors
/// Those of [`carry`].
pub(crate) async fn alone(env: &Env, channel: ChannelId, command: Command, repeat: Repeat) -> Fate {
    let errands = travel(env, channel, vec![Errand { command, repeat, fate: None }]).await;
    errands.into_iter().find_map(|errand| errand.fate).unwrap_or_else(|| Err(Problem::internal()))
}

async fn lead(env: Env, channel: ChannelId, departure: Rc<Signal>) {
    departure.wait().await;
    let now = Date::now().as_millis();
    let Some(gathering) = with_hops(channel, now, |hops| hops.depart(&departure, now)) else { return };
    let (seats, errands): (Vec<_>, Vec<_>) =
        gathering.passengers.into_iter().map(|passenger| (passenger.seat, passenger.errand)).unzip();
    let errands = travel(&env, channel, errands).await;
    arrived(channel);
    for (seat, errand) in seats.iter().zip(errands) {
        seat.tell(errand.fate.unwrap_or_else(|| Err(Problem::internal())));
    }
}

/// Takes commands to their object, and brings back each with its fate.
///
/// An object that was reset under the request has another take its place: what may be repeated is sent there.
async fn travel(env: &Env, channel: ChannelId, mut errands: Vec<Errand>) -> Vec<Errand> {
    for attempt in 1..=ATTEMPTS {
        let mut waiting: Vec<&mut Errand> =
            errands.iter_mut().filter(|errand| errand.fate.is_none()).collect();
        let commands = waiting.iter().map(|errand| errand.command.clone()).collect();
        match object::within(PATIENCE_MS, object::carry_out(env, channel, commands)).await {
            Ok(outcomes) => {
                for (errand, outcome) in waiting.iter_mut().zip(outcomes) {
                    errand.fate = Some(Ok(outcome));
                }
                break;
            }
            Err(error) => {
                let again = attempt < ATTEMPTS && object::may_answer_again(&error);
                let lost = waiting.into_iter().filter(|errand| !again || errand.repeat == Repeat::Unsafe);
                for errand in lost {
                    errand.fate = Some(Err(object::unavailable(&error.to_string())));
                }
                if errands.iter().all(|errand| errand.fate.is_some()) {
                    break;
                }
                console_warn!("channel {channel} is asked again: {error}");
            }
        }
    }
    errands
}

fn arrived(channel: ChannelId) {
    with_hops(channel, Date::now().as_millis(), Hops::arrive);
}

fn with_hops<T>(channel: ChannelId, now: Timestamp, act: impl FnOnce(&mut Hops) -> T) -> T {
    HOPS.with_borrow_mut(|all| {
        if all.len() >= REMEMBERED && !all.contains_key(&channel) {
            all.retain(|_, hops| hops.gathering.is_some() || hops.busy(now));
        }
        act(all.entry(channel).or_default())
    })
}

impl Hops {
    /// Whether a hop is under way that the next commands can wait for.
    ///
    /// One that left long ago is not: its object stalls, or its request was ended and will never say that it is back.
    fn busy(&self, now: Timestamp) -> bool {
        self.under_way > 0 && now.saturating_sub(self.departed) < OVERDUE_MS
    }

    fn board(&mut self, errand: Errand, now: Timestamp) -> Way {
        let bytes = errand.command.encoded_len();
        let Some(gathering) = &mut self.gathering else {
            if !self.busy(now) {
                // Those who left long ago are not waited for, nor counted any more.
                self.under_way = 0;
                self.leave(now);
                return Way::Alone(Box::new(errand));
            }
            let departure = Rc::new(Signal::new(GATHER_MS));
            let mut gathering = Gathering { opened: now, bytes: 0, passengers: Vec::new(), departure };
            let way = Way::Leading(gathering.seat(errand, bytes), Rc::clone(&gathering.departure));
            self.gathering = Some(gathering);
            return way;
        };
        if now.saturating_sub(gathering.opened) >= OVERDUE_MS {
            gathering.opened = now;
            gathering.departure = Rc::new(Signal::new(GATHER_MS));
            return Way::Leading(gathering.seat(errand, bytes), Rc::clone(&gathering.departure));
        }
        if gathering.passengers.len() >= MAX_COMMANDS || gathering.bytes + bytes > MOST_BYTES {
            gathering.departure.raise();
            self.leave(now);
            return Way::Alone(Box::new(errand));
        }
        Way::With(gathering.seat(errand, bytes))
    }

    /// Those who gathered until this signal leave. None where another has taken them over.
    fn depart(&mut self, departure: &Rc<Signal>, now: Timestamp) -> Option<Gathering> {
        let gathering = self.gathering.take_if(|gathering| Rc::ptr_eq(&gathering.departure, departure))?;
        self.leave(now);
        Some(gathering)
    }

    fn leave(&mut self, now: Timestamp) {
        self.under_way += 1;
        self.departed = now;
    }

    /// A hop is back: who gathers has waited long enough.
    fn arrive(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(gathering) = &self.gathering {
            gathering.departure.raise();
        }
    }
}

impl Gathering {
    fn seat(&mut self, errand: Errand, bytes: usize) -> Rc<Seat> {
        let seat = Rc::new(Seat { fate: RefCell::default(), told: Signal::new(PATIENCE_MS) });
        self.bytes += bytes;
        self.passengers.push(Passenger { seat: Rc::clone(&seat), errand });
        seat
    }
}
