//! The hop from the Worker to a channel's object, shared by the commands that come at the same time. Which do, and when
//! they leave, is `edgewise_core::hops`'s to say.
//!
//! Requests of one isolate share its memory, but not their input and output: what one of them began only that one can
//! wait for. So the first of a gathering leads: its request carries the others' commands, stays until they are answered
//! even if its own client hangs up, and raises a signal for each. And as the runtime may end a request at any time,
//! nobody relies on a leader: a gathering that is overdue is taken over by whoever comes next, and who waits gives up in
//! the end.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use edgewise_core::{
    hops::{self, Departure, Way},
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

/// Of how many channels hops are remembered before those that are over are forgotten.
const REMEMBERED: usize = 256;

type Fate = Result<Outcome, Problem>;
type Hops = hops::Hops<Passenger, Signal>;

thread_local! {
    static HOPS: RefCell<HashMap<ChannelId, Hops>> = RefCell::default();
}

impl Departure for Signal {
    fn within(ms: u32) -> Self {
        Self::new(ms)
    }
    fn now(&self) {
        self.raise();
    }
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

impl Errand {
    /// Takes a seat among those who gather: as the passenger, and for the request that waits.
    fn seated(self) -> (Passenger, Rc<Seat>) {
        let seat = Rc::new(Seat { fate: RefCell::default(), told: Signal::new(PATIENCE_MS) });
        (Passenger { seat: Rc::clone(&seat), errand: self }, seat)
    }
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

/// Has a command carried out by its channel's object.
///
/// # Errors
/// 503 `STORAGE_UNAVAILABLE` where the object did not answer, whether or not it carried the command out.
pub(crate) async fn carry(call: &Call, channel: ChannelId, command: Command, repeat: Repeat) -> Fate {
    if !gathers(&command) {
        return alone(&call.env, channel, command, repeat).await;
    }
    let errand = Errand { command, repeat, fate: None };
    let bytes = errand.command.encoded_len();
    match with_hops(channel, call.now, |hops| hops.board(errand, bytes, call.now, Errand::seated)) {
        Way::Alone(errand) => {
            let fate = alone(&call.env, channel, errand.command, errand.repeat).await;
            arrived(channel, call.now, 1);
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
    let Some(passengers) = with_hops(channel, now, |hops| hops.depart(&departure, now)) else { return };
    let (seats, errands): (Vec<_>, Vec<_>) =
        passengers.into_iter().map(|passenger| (passenger.seat, passenger.errand)).unzip();
    let errands = travel(&env, channel, errands).await;
    arrived(channel, now, errands.len());
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

fn arrived(channel: ChannelId, departed: Timestamp, commands: usize) {
    let now = Date::now().as_millis();
    with_hops(channel, now, |hops| hops.arrive(commands, departed, now));
}

fn with_hops<T>(channel: ChannelId, now: Timestamp, act: impl FnOnce(&mut Hops) -> T) -> T {
    HOPS.with_borrow_mut(|all| {
        if all.len() >= REMEMBERED && !all.contains_key(&channel) {
            all.retain(|_, hops| !hops.idle(now));
        }
        act(all.entry(channel).or_default())
    })
}
