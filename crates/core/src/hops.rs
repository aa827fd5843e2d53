//! Which commands share a hop from the Worker to a channel's object, and when it leaves: the rules alone. The Worker's
//! `hop.rs` makes the requests and keeps the time.
//!
//! A request to an object is what a write costs most of, far more than its part of the commit. So what the engine does
//! with commits is done with hops too: a command that comes while none is under way leaves at once, and those that come
//! before it is answered gather and leave together, after [`GATHER_MS`] at the latest.
//!
//! Those who were answered together come back together, as senders do who wait for one answer before the next request.
//! So after a hop of many, whoever comes first waits for as many others, and all leave as soon as they are there: else
//! each crowd would cost a hop and a commit for its first, and more for its stragglers. The first waits no longer than
//! their last hop took, which is what those wait who come too late, and [`CROWD_MS`] at the most.
//!
//! Nobody relies on a departure: a gathering that is overdue is taken over by whoever comes next, and a hop that does not
//! come back is no longer waited for.

use std::rc::Rc;

use crate::{engine::MAX_COMMANDS, ids::Timestamp};

/// How long commands gather at most, in milliseconds: what a far object adds to a command that did not come alone.
pub const GATHER_MS: u32 = 5;
/// A hop of so many commands was one of many.
pub const CROWD: usize = 8;
/// How long the first of them to come back waits for the others at most, in milliseconds.
pub const CROWD_MS: u32 = 25;
/// How long after their answers they are expected back, in milliseconds: a round trip to clients that are near.
pub const EXPECTED_MS: u64 = 100;
/// How many bytes of commands share a hop.
pub const MAX_BYTES: usize = 1 << 20;
/// A gathering that has not left after so many milliseconds has lost its leader, and a hop that is not back its request.
pub const OVERDUE_MS: u64 = 1_000;

/// What tells the leader of a gathering to leave.
pub trait Departure {
    /// One that tells it after so many milliseconds.
    fn within(ms: u32) -> Self;
    /// Tells it now.
    fn now(&self);
}

/// How a command gets to its object.
#[derive(Debug)]
pub enum Way<E, S, D> {
    /// At once.
    Alone(E),
    /// With those who gather, in a seat among them.
    With(S),
    /// In front of those who gather, until the departure.
    Leading(S, Rc<D>),
}

/// The hops of one isolate to one channel, with passengers `P`.
#[derive(Debug)]
pub struct Hops<P, D> {
    under_way: u32,
    /// When the last one left.
    departed: Timestamp,
    gathering: Option<Gathering<P, D>>,
    crowd: Option<Crowd>,
}

impl<P, D> Default for Hops<P, D> {
    fn default() -> Self {
        Self { under_way: 0, departed: 0, gathering: None, crowd: None }
    }
}

/// Commands that wait for the next hop.
#[derive(Debug)]
struct Gathering<P, D> {
    opened: Timestamp,
    bytes: usize,
    passengers: Vec<P>,
    /// With how many it leaves at once. [`MAX_COMMANDS`]: when a hop is back.
    enough: usize,
    departure: Rc<D>,
}

/// Those to whom the last hop of many has brought their answers.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    size: usize,
    returned: Timestamp,
    /// How long their hop took, in milliseconds.
    took: u64,
}

impl<P, D: Departure> Hops<P, D> {
    /// Whether there is anything to remember.
    #[must_use]
    pub fn idle(&self, now: Timestamp) -> bool {
        self.gathering.is_none() && !self.busy(now)
    }

    /// Whether a hop is under way that the next commands can wait for.
    ///
    /// One that left long ago is not: its object stalls, or its request was ended and will never say that it is back.
    fn busy(&self, now: Timestamp) -> bool {
        self.under_way > 0 && now.saturating_sub(self.departed) < OVERDUE_MS
    }

    /// Finds a way for a command of so many bytes. `seat` makes a passenger of it, and what they keep of their seat.
    pub fn board<E, S>(
        &mut self,
        command: E,
        bytes: usize,
        now: Timestamp,
        seat: impl FnOnce(E) -> (P, S),
    ) -> Way<E, S, D> {
        let Some(gathering) = &mut self.gathering else {
            let crowd = self.crowd.take().filter(|crowd| now.saturating_sub(crowd.returned) < EXPECTED_MS);
            if crowd.is_none() && !self.busy(now) {
                // Those who left long ago are not waited for, nor counted any more.
                self.under_way = 0;
                self.leave(now);
                return Way::Alone(command);
            }
            let (passenger, kept) = seat(command);
            let gathering = self.gathering.insert(Gathering::open(now, crowd));
            gathering.seat(passenger, bytes);
            return Way::Leading(kept, Rc::clone(&gathering.departure));
        };
        if now.saturating_sub(gathering.opened) >= OVERDUE_MS {
            let (passenger, kept) = seat(command);
            gathering.opened = now;
            gathering.departure = Rc::new(D::within(GATHER_MS));
            gathering.seat(passenger, bytes);
            return Way::Leading(kept, Rc::clone(&gathering.departure));
        }
        if gathering.passengers.len() >= MAX_COMMANDS || gathering.bytes + bytes > MAX_BYTES {
            gathering.departure.now();
            self.leave(now);
            return Way::Alone(command);
        }
        let (passenger, kept) = seat(command);
        gathering.seat(passenger, bytes);
        Way::With(kept)
    }

    /// Those who gathered for this departure leave. None where another leader has taken them over.
    pub fn depart(&mut self, departure: &Rc<D>, now: Timestamp) -> Option<Vec<P>> {
        let gathering = self.gathering.take_if(|gathering| Rc::ptr_eq(&gathering.departure, departure))?;
        self.leave(now);
        Some(gathering.passengers)
    }

    fn leave(&mut self, now: Timestamp) {
        self.under_way += 1;
        self.departed = now;
    }

    /// A hop of so many commands is back that left at this time. If they were many, they are waited for. Else those who
    /// gather have waited long enough, unless it is for others.
    pub fn arrive(&mut self, commands: usize, departed: Timestamp, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        let many = commands >= CROWD;
        match &mut self.gathering {
            Some(gathering) if many => {
                gathering.enough = MAX_COMMANDS.min(gathering.passengers.len() + commands);
            }
            Some(gathering) if gathering.enough == MAX_COMMANDS => gathering.departure.now(),
            None if many => {
                let took = now.saturating_sub(departed);
                self.crowd = Some(Crowd { size: commands, returned: now, took });
            }
            _ => {}
        }
    }
}

impl<P, D: Departure> Gathering<P, D> {
    fn open(now: Timestamp, crowd: Option<Crowd>) -> Self {
        let (ms, enough) =
            crowd.map_or((GATHER_MS, MAX_COMMANDS), |crowd| (crowd.patience(), crowd.size.min(MAX_COMMANDS)));
        Self { opened: now, bytes: 0, passengers: Vec::new(), enough, departure: Rc::new(D::within(ms)) }
    }

    fn seat(&mut self, passenger: P, bytes: usize) {
        self.bytes += bytes;
        self.passengers.push(passenger);
        if self.passengers.len() >= self.enough {
            self.departure.now();
        }
    }
}

impl Crowd {
    /// How long its first waits for the others, in milliseconds.
    fn patience(self) -> u32 {
        u32::try_from(self.took).unwrap_or(CROWD_MS).clamp(GATHER_MS, CROWD_MS)
    }
}
