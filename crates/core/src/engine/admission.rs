//! Who may connect.
//!
//! After a deploy everyone comes back at once. The connects that wait are asked for in one query, and in a storm the
//! next query waits a little longer each time, so that the number of queries does not grow with the sockets.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use futures_channel::oneshot;

use super::{
    Channel, Platform,
    commit::{self, Actor, Head},
    expulsion::Hidden,
};
use crate::{
    access::Caller,
    database::{Answers, DatabaseError},
    erasure,
    ids::{Sequence, Timestamp, UserId},
    problem::Problem,
};

/// The pause before the second of a series of queries, doubled for each further one, in milliseconds.
const FIRST_PAUSE: u32 = 10;
const LONGEST_PAUSE: u32 = 1_000;
/// A series ends when nobody has come for so long, in milliseconds.
const SERIES_ENDS: Timestamp = 2_000;
/// How often a query that was not answered is repeated.
const TRIES: u32 = 4;

/// What a connect needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(crate) display_name: String,
    pub(crate) pubkey: String,
    pub(crate) last_read: Sequence,
    /// How many closings there had been when it was asked for.
    asked_after: u64,
}

type Fate = Result<Admission, Problem>;

#[derive(Default)]
pub(crate) struct Admissions {
    waiting: RefCell<Vec<(Caller, oneshot::Sender<Fate>)>>,
    state: RefCell<Series>,
    /// How often a user's sockets were closed since the object woke, and at which time of these each user's were.
    closings: Cell<u64>,
    closed: RefCell<HashMap<String, u64>>,
}

impl Admissions {
    /// What was found out about a user before now no longer counts: they were banned or removed since.
    pub(crate) fn outdate(&self, user: &UserId) {
        self.closings.set(self.closings.get() + 1);
        self.closed.borrow_mut().insert(user.as_str().to_owned(), self.closings.get());
    }

    /// Whether an admission still counts.
    pub(crate) fn counts(&self, user: &UserId, admission: &Admission) -> bool {
        self.closed.borrow().get(user.as_str()).is_none_or(|closed| *closed <= admission.asked_after)
    }
}

#[derive(Default)]
struct Series {
    running: bool,
    pause: u32,
    last: Timestamp,
}

impl<P: Platform> Channel<P> {
    /// Asks whether a user may be in this channel; makes the user known.
    ///
    /// # Errors
    /// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
    pub(crate) async fn admit(self: &Rc<Self>, caller: Caller) -> Fate {
        let (sender, receiver) = oneshot::channel();
        self.admissions.waiting.borrow_mut().push((caller, sender));
        if !std::mem::replace(&mut self.admissions.state.borrow_mut().running, true) {
            let channel = Rc::clone(self);
            self.platform.spawn(async move { channel.admit_all().await });
        }
        receiver.await.unwrap_or_else(|_| Err(Problem::storage_unavailable()))
    }

    async fn admit_all(self: Rc<Self>) {
        loop {
            let pause = self.next_pause();
            if pause > 0 {
                self.platform.sleep(pause).await;
            }
            let waiting = std::mem::take(&mut *self.admissions.waiting.borrow_mut());
            if waiting.is_empty() {
                break;
            }
            let callers: Vec<_> = waiting.iter().map(|(caller, _)| caller.clone()).collect();
            let asked_after = self.admissions.closings.get();
            let answer = self.ask(&callers).await;
            for (caller, sender) in waiting {
                let fate = match &answer {
                    Ok((head, actors)) => judge(&caller, head.as_ref(), actors, asked_after),
                    Err(error) => Err(error.clone().into()),
                };
                // Whoever wanted to connect may have hung up.
                let _ = sender.send(fate);
            }
            self.admissions.state.borrow_mut().last = self.now();
            if self.admissions.waiting.borrow().is_empty() {
                break;
            }
        }
        self.admissions.state.borrow_mut().running = false;
    }

    fn next_pause(&self) -> u32 {
        let mut series = self.admissions.state.borrow_mut();
        let idle = self.now().saturating_sub(series.last);
        let quiet = idle >= SERIES_ENDS.min(8 * Timestamp::from(series.pause));
        let pause = if quiet { 0 } else { series.pause };
        series.pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        pause
    }

    async fn ask(&self, callers: &[Caller]) -> Result<(Option<Head>, HashMap<String, Actor>), DatabaseError> {
        let mut tries = 0;
        loop {
            match self.within_bound(self.ask_once(callers)).await {
                Err(DatabaseError::Unavailable(why)) if tries < TRIES => {
                    tries += 1;
                    self.platform.log(&format!("the database does not answer who may connect: {why}"));
                    self.platform.sleep(50 << tries).await;
                }
                other => return other,
            }
        }
    }

    async fn ask_once(
        &self,
        callers: &[Caller],
    ) -> Result<(Option<Head>, HashMap<String, Actor>), DatabaseError> {
        let [provision, visit, actors] = commit::actor_statements(self.id, callers, self.now());
        let erasing = erasure::under_way(self.id);
        let statements = vec![provision, visit, commit::head_statement(self.id), actors, erasing];
        let mut answers = Answers::of(&self.platform, statements).await?;
        for _ in 0..2 {
            answers.next_rows()?;
        }
        let head: Option<Head> = answers.next_rows()?.first()?;
        let actors: Vec<Actor> = answers.next_rows()?.decode()?;
        if let Some(head) = &head {
            self.learn_head(head.clone());
        }
        for promise in answers.next_rows()?.decode::<String>()? {
            self.hide_recent(&promise, Hidden::ToWhoConnects);
        }
        Ok((head, actors.into_iter().map(|actor| (actor.id.clone(), actor)).collect()))
    }
}

fn judge(caller: &Caller, head: Option<&Head>, actors: &HashMap<String, Actor>, asked_after: u64) -> Fate {
    let actor = actors.get(caller.user_id.as_str()).ok_or_else(Problem::internal)?;
    actor.admitted(head)?;
    Ok(Admission {
        display_name: actor.name.clone().unwrap_or_else(|| caller.user_id.to_string()),
        pubkey: actor.pubkey.clone().unwrap_or_default(),
        last_read: actor.last_read.unwrap_or_default(),
        asked_after,
    })
}
