//! The world of one run: one seed, one clock, and a scheduler that polls whichever ready task the seed says.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write as _,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// `SplitMix64` (Steele, Lea, Flood 2014): small, seedable, good enough to choose.
pub struct Rng(Cell<u64>);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        from.get(usize::try_from(self.below(from.len() as u64)).unwrap())
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    /// Which incarnation of the object it belongs to; it goes with it. None: it outlives every object.
    owner: Option<u64>,
    future: Pin<Box<dyn Future<Output = ()>>>,
    ready: Arc<Flag>,
}

pub struct World {
    pub rng: Rng,
    now: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next_task: Cell<u64>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    trace: RefCell<String>,
}

impl World {
    pub fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            rng: Rng::new(seed),
            now: Cell::new(1_800_000_000_000),
            tasks: RefCell::default(),
            next_task: Cell::default(),
            timers: RefCell::default(),
            trace: RefCell::default(),
        })
    }

    pub fn now(&self) -> u64 {
        self.now.get()
    }

    pub fn note(&self, line: impl AsRef<str>) {
        let mut trace = self.trace.borrow_mut();
        let _ = writeln!(trace, "{:>8} {}", self.now.get() - 1_800_000_000_000, line.as_ref());
    }

    pub fn trace(&self) -> String {
        self.trace.borrow().clone()
    }

    pub fn spawn(&self, owner: Option<u64>, future: impl Future<Output = ()> + 'static) {
        let id = self.next_task.replace(self.next_task.get() + 1);
        let task = Task { owner, future: Box::pin(future), ready: Arc::new(Flag(AtomicBool::new(true))) };
        self.tasks.borrow_mut().insert(id, task);
    }

    /// Ends every task of one incarnation, wherever it waits.
    pub fn kill(&self, owner: u64) {
        let dead: Vec<_> = {
            let mut tasks = self.tasks.borrow_mut();
            let ids: Vec<_> =
                tasks.iter().filter(|(_, task)| task.owner == Some(owner)).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| tasks.remove(id)).collect()
        };
        drop(dead);
    }

    /// Whether an incarnation has anything under way.
    pub fn is_busy(&self, owner: u64) -> bool {
        self.tasks.borrow().values().any(|task| task.owner == Some(owner))
    }

    /// Polls one ready task. False where none is.
    pub fn step(&self) -> bool {
        let ready: Vec<u64> = self
            .tasks
            .borrow()
            .iter()
            .filter(|(_, task)| task.ready.0.load(Ordering::Relaxed))
            .map(|(id, _)| *id)
            .collect();
        let Some(&id) = self.rng.pick(&ready) else { return false };
        let Some(mut task) = self.tasks.borrow_mut().remove(&id) else { return true };
        task.ready.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.ready));
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.borrow_mut().insert(id, task);
        }
        true
    }

    /// Moves the clock to the next timer. False where none is set.
    pub fn advance(&self) -> bool {
        let Some(((due, _), waker)) = self.timers.borrow_mut().pop_first() else { return false };
        self.now.set(self.now.get().max(due));
        waker.wake();
        true
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.now.set(self.now.get() + ms);
    }

    pub fn run_until_idle(&self) {
        for _ in 0..2_000_000 {
            if !self.step() && !self.advance() {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    pub fn sleep(self: &Rc<Self>, ms: u64) -> Sleep {
        Sleep { world: Rc::clone(self), due: self.now() + ms, timer: None }
    }
}

/// Waits for the clock. Takes its timer back where nobody waits any more, so that the clock does not go there.
pub struct Sleep {
    world: Rc<World>,
    due: u64,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_some() && self.world.now() >= self.due {
            return Poll::Ready(());
        }
        let id = match self.timer {
            Some(id) => id,
            None => self.world.next_task.replace(self.world.next_task.get() + 1),
        };
        self.timer = Some(id);
        self.world.timers.borrow_mut().insert((self.due, id), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.timer {
            self.world.timers.borrow_mut().remove(&(self.due, id));
        }
    }
}
