//! Which commands leave for their channel's object together, and when.

use std::{cell::Cell, collections::HashSet, rc::Rc};

use edgewise_core::{
    engine::MAX_COMMANDS,
    hops::{CROWD, CROWD_MS, Departure, EXPECTED_MS, GATHER_MS, Hops, MAX_BYTES, OVERDUE_MS, Way},
};
use proptest::prelude::*;

struct Bell {
    ms: u32,
    rung: Cell<bool>,
}

impl Departure for Bell {
    fn within(ms: u32) -> Self {
        Self { ms, rung: Cell::new(false) }
    }
    fn now(&self) {
        self.rung.set(true);
    }
}

/// Commands are numbers.
type Isolate = Hops<usize, Bell>;

fn board(hops: &mut Isolate, command: usize, now: u64) -> Way<usize, (), Bell> {
    hops.board(command, 100, now, |command| (command, ()))
}

fn leads(way: Way<usize, (), Bell>) -> Rc<Bell> {
    let Way::Leading((), bell) = way else { panic!("it leads nobody") };
    bell
}

fn is_alone(way: &Way<usize, (), Bell>) -> bool {
    matches!(way, Way::Alone(_))
}

/// Has as many as given leave together at `now` in one hop that takes so long. When it is back.
fn crowd(hops: &mut Isolate, size: usize, now: u64, took: u64) -> u64 {
    assert!(is_alone(&board(hops, 0, now)));
    let bell = leads(board(hops, 1, now));
    for command in 2..=size {
        assert!(matches!(board(hops, command, now), Way::With(())));
    }
    hops.arrive(1, now, now);
    assert!(bell.rung.get());
    assert_eq!(hops.depart(&bell, now).expect("they are here").len(), size);
    hops.arrive(size, now, now + took);
    now + took
}

#[test]
fn those_who_come_while_a_hop_is_under_way_share_the_next() {
    let mut hops = Isolate::default();
    assert!(is_alone(&board(&mut hops, 0, 0)));
    let bell = leads(board(&mut hops, 1, 1));
    assert!(matches!(board(&mut hops, 2, 2), Way::With(())));
    assert_eq!((bell.ms, bell.rung.get()), (GATHER_MS, false));
    hops.arrive(1, 0, 3);
    assert!(bell.rung.get(), "the hop is back, nobody waits any longer");
    assert_eq!(hops.depart(&bell, 3), Some(vec![1, 2]));
    assert_eq!(hops.depart(&bell, 3), None);
    hops.arrive(2, 3, 6);
    assert!(is_alone(&board(&mut hops, 3, 7)), "two are no crowd");
}

#[test]
fn a_crowd_that_comes_back_leaves_when_all_are_there() {
    let mut hops = Isolate::default();
    let now = crowd(&mut hops, 64, 0, 12);
    let bell = leads(board(&mut hops, 1, now + 1));
    assert_eq!(bell.ms, 12, "its first waits as long as their hop took");
    for command in 2..=63 {
        assert!(matches!(board(&mut hops, command, now + 2), Way::With(())));
        assert!(!bell.rung.get());
    }
    assert!(matches!(board(&mut hops, 64, now + 3), Way::With(())));
    assert!(bell.rung.get());
    assert_eq!(hops.depart(&bell, now + 3).expect("they are here").len(), 64);
}

#[test]
fn a_crowd_is_waited_for_within_bounds() {
    for (took, patience) in
        [(0, GATHER_MS), (3, GATHER_MS), (9, 9), (900, CROWD_MS), (u64::MAX / 2, CROWD_MS)]
    {
        let mut hops = Isolate::default();
        let now = crowd(&mut hops, CROWD, 0, took);
        assert_eq!(leads(board(&mut hops, 0, now)).ms, patience, "{took}");
    }
    let mut hops = Isolate::default();
    let now = crowd(&mut hops, CROWD, 0, 10);
    assert!(is_alone(&board(&mut hops, 0, now + EXPECTED_MS)), "nobody is expected after so long");
    let mut hops = Isolate::default();
    let now = crowd(&mut hops, CROWD - 1, 0, 10);
    assert!(is_alone(&board(&mut hops, 0, now)), "they were few");
}

#[test]
fn a_crowd_is_waited_for_by_those_who_gather_already_and_not_sent_off_by_a_straggler() {
    let mut hops = Isolate::default();
    assert!(is_alone(&board(&mut hops, 0, 0)));
    let bell = leads(board(&mut hops, 1, 0));
    for command in 2..=CROWD {
        board(&mut hops, command, 0);
    }
    let crowd = hops.depart(&bell, 5).expect("they are here");
    // While both are under way, another comes.
    let bell = leads(board(&mut hops, 100, 6));
    hops.arrive(crowd.len(), 5, 8);
    assert!(!bell.rung.get());
    hops.arrive(1, 0, 9);
    assert!(!bell.rung.get(), "what a lone one's return says is nothing to them");
    for command in 1..=crowd.len() {
        assert!(!bell.rung.get());
        board(&mut hops, command, 9);
    }
    assert!(bell.rung.get());
}

#[test]
fn a_gathering_without_a_leader_is_taken_over() {
    let mut hops = Isolate::default();
    assert!(is_alone(&board(&mut hops, 0, 0)));
    let lost = leads(board(&mut hops, 1, 0));
    assert!(matches!(board(&mut hops, 2, OVERDUE_MS - 1), Way::With(())));
    let bell = leads(board(&mut hops, 3, OVERDUE_MS));
    assert_eq!(hops.depart(&lost, OVERDUE_MS), None, "should the first one come round yet");
    assert_eq!(hops.depart(&bell, OVERDUE_MS), Some(vec![1, 2, 3]));
}

#[test]
fn a_hop_that_does_not_come_back_is_not_waited_for() {
    let mut hops = Isolate::default();
    assert!(is_alone(&board(&mut hops, 0, 0)));
    assert!(!hops.idle(OVERDUE_MS - 1));
    assert!(hops.idle(OVERDUE_MS));
    assert!(is_alone(&board(&mut hops, 1, OVERDUE_MS)));
    hops.arrive(1, OVERDUE_MS, OVERDUE_MS + 5);
    assert!(hops.idle(OVERDUE_MS + 5), "nor counted");
}

#[test]
fn a_full_hop_leaves_and_who_comes_then_goes_alone() {
    let mut hops = Isolate::default();
    board(&mut hops, 0, 0);
    let bell = leads(board(&mut hops, 1, 0));
    for command in 2..=MAX_COMMANDS {
        assert!(!bell.rung.get());
        assert!(matches!(board(&mut hops, command, 0), Way::With(())));
    }
    assert!(bell.rung.get());
    assert!(is_alone(&board(&mut hops, 200, 0)));

    let mut hops = Isolate::default();
    board(&mut hops, 0, 0);
    let bell = leads(board(&mut hops, 1, 0));
    let way = hops.board(2, MAX_BYTES, 0, |command| (command, ()));
    assert!(is_alone(&way) && bell.rung.get());
}

#[derive(Debug, Clone)]
enum Event {
    Board(usize),
    /// Time goes on, and the leaders whose time has come leave.
    Wait(u64),
    /// One of the hops under way is back.
    Back(usize),
    /// A leader's request is ended.
    Lose,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (0..MAX_BYTES / 4).prop_map(Event::Board),
        3 => (0..40_u64).prop_map(Event::Wait),
        4 => (0..8_usize).prop_map(Event::Back),
        1 => Just(Event::Lose),
        1 => Just(Event::Wait(OVERDUE_MS)),
    ];
    proptest::collection::vec(event, 1..400)
}

/// An isolate's leaders and hops, as they come.
#[derive(Default)]
struct World {
    hops: Isolate,
    now: u64,
    leaders: Vec<(Rc<Bell>, u64)>,
    under_way: Vec<(usize, u64)>,
    gone: Vec<usize>,
}

impl World {
    fn leave(&mut self) {
        let now = self.now;
        let (due, waiting) = std::mem::take(&mut self.leaders)
            .into_iter()
            .partition(|(bell, by): &(Rc<Bell>, u64)| bell.rung.get() || *by <= now);
        self.leaders = waiting;
        let due: Vec<_> = due;
        for (bell, _) in due {
            if let Some(together) = self.hops.depart(&bell, now) {
                assert!(!together.is_empty() && together.len() <= MAX_COMMANDS);
                self.under_way.push((together.len(), now));
                self.gone.extend(together);
            }
        }
    }
}

proptest! {
    /// Whatever happens to leaders and hops, each command leaves once, and nobody is forgotten: the next who comes takes
    /// them along.
    #[test]
    fn each_command_leaves_once(events in events()) {
        let mut world = World::default();
        let mut boarded = 0;
        for event in events {
            match event {
                Event::Board(bytes) => {
                    let way = world.hops.board(boarded, bytes, world.now, |command| (command, ()));
                    match way {
                        Way::Alone(command) => {
                            world.under_way.push((1, world.now));
                            world.gone.push(command);
                        }
                        Way::With(()) => {}
                        Way::Leading((), bell) => {
                            prop_assert!((GATHER_MS..=CROWD_MS).contains(&bell.ms));
                            let by = world.now + u64::from(bell.ms);
                            world.leaders.push((bell, by));
                        }
                    }
                    boarded += 1;
                    world.leave();
                }
                Event::Wait(ms) => {
                    world.now += ms;
                    world.leave();
                }
                Event::Back(place) => {
                    if !world.under_way.is_empty() {
                        let (size, departed) = world.under_way.remove(place % world.under_way.len());
                        world.hops.arrive(size, departed, world.now);
                        world.leave();
                    }
                }
                Event::Lose => drop(world.leaders.pop()),
            }
        }
        // In the end two more come, so late that whoever is left has been forgotten.
        for _ in 0..2 {
            world.now += OVERDUE_MS;
            match board(&mut world.hops, boarded, world.now) {
                Way::Alone(command) => world.gone.push(command),
                Way::With(()) => {}
                Way::Leading((), bell) => world.leaders.push((bell, world.now)),
            }
            boarded += 1;
            world.leave();
        }
        let once: HashSet<usize> = world.gone.iter().copied().collect();
        prop_assert_eq!(once.len(), world.gone.len());
        prop_assert_eq!(once.len(), boarded);
    }
}
