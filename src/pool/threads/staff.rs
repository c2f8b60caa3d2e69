//! The threads of one pool: how a shift gets to one, and what a thread does from its start to its end.

use super::{Threads, wake_all};
use crate::kernel::crew::{Need, Next};
use crate::pool::handler::Exec;
use crate::pool::runner::Runner;
use crate::pool::shared::{Shared, Task};
use crate::pool::timer::Timer;
use crate::rt::channel::{self, Receiver, RecvTimeoutError, Sender};
use crate::rt::{self, Runtime};
use std::sync::Arc;
use std::time::Duration;

/// What a thread is asked to do. One that is dropped instead is counted out by its own `Drop`, and ends the pool.
enum Shift<J, T, E, X> {
    Runner(Box<Runner<J, T, E, X>>),
    Timer(Timer<J, T, E>),
}

/// Whoever submits has a thread of its own.
const MANY: usize = usize::MAX;

/// The pool's end of the queue, and what its threads are made with. When the pool lets it go, idle threads leave.
pub(super) struct Staff<J, T, E, X> {
    exec: Arc<X>,
    threads: Arc<Threads>,
    post: Sender<Shift<J, T, E, X>>,
    queue: Receiver<Shift<J, T, E, X>>,
    hiring: Hiring,
}

/// What a pool's threads are made with.
#[derive(Clone)]
pub(super) struct Hiring {
    pub(super) name: String,
    pub(super) keep_alive: Duration,
    /// The runtime that the pool was built in, if it was: its clock and its context are the threads' too.
    pub(super) home: Option<Runtime>,
}

impl<J, T, E, X> Staff<J, T, E, X>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    X: Exec<J, T, E>,
{
    /// `parallel` is how many runners the engine starts at the same time.
    pub(super) fn new(exec: X, threads: Arc<Threads>, parallel: usize, hiring: Hiring) -> Self {
        // Room for those, for one that a runtime has left behind, and for the timer.
        let (post, queue) = channel::bounded(parallel + 2);
        Self { exec: Arc::new(exec), threads, post, queue, hiring }
    }

    /// Does what the engine asked for.
    pub(super) fn launch(&self, task: Task, shared: Arc<Shared<J, T, E>>) {
        match (task, &self.hiring.home) {
            (Task::Runner, _) => {
                let runner = Box::new(Runner::new(shared.clone(), self.exec.clone(), MANY));
                self.open(&shared, Shift::Runner(runner));
            }
            (Task::Timer, Some(home)) => home.spawn(Timer::new(shared).run()),
            (Task::Timer | Task::SpareTimer, _) => {
                self.open(&shared, Shift::Timer(Timer::on_thread(shared.clone())));
            }
            (Task::Threads(need), _) => self.start(need, &shared),
        }
    }

    fn open(&self, shared: &Arc<Shared<J, T, E>>, shift: Shift<J, T, E, X>) {
        let need = self.threads.crew.open();
        self.start(need, shared);
        // This side holds a receiver too, so the queue takes it.
        drop(self.post.send(shift));
    }

    fn start(&self, need: Need, shared: &Arc<Shared<J, T, E>>) {
        for _ in 0..need.0 {
            self.start_one(shared);
        }
    }

    fn start_one(&self, shared: &Arc<Shared<J, T, E>>) {
        let (queue, threads, hiring) = (self.queue.clone(), self.threads.clone(), self.hiring.clone());
        let started = rt::spawn_thread(&self.hiring.name, move || {
            let _inside = hiring.home.as_ref().map(Runtime::enter);
            serve(&queue, &threads, hiring.keep_alive);
        });
        if started.is_ok() {
            return;
        }
        let mut wake = Vec::new();
        self.threads.crew.depart(&mut wake);
        wake_all(wake);
        // With fewer threads than slots a pool is slow. With none, or with those that wait for others, it stands still.
        if self.threads.count() == 0 || shared.engine.snapshot().lent > 0 {
            shared.abandon();
        }
    }
}

/// A thread's life: it serves shifts until none has come for a while, or none can.
fn serve<J, T, E, X>(queue: &Receiver<Shift<J, T, E, X>>, threads: &Threads, keep_alive: Duration)
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    X: Exec<J, T, E>,
{
    let crew = &threads.crew;
    let mut wake = Vec::new();
    loop {
        let next = match queue.recv_timeout(keep_alive) {
            Ok(shift) => {
                crew.take();
                let mut busy = Busy { threads, ended: false };
                match shift {
                    Shift::Runner(mut runner) => rt::block_on(runner.run()),
                    Shift::Timer(timer) => timer.run_on_thread(),
                }
                busy.ended = true;
                crew.rest(&mut wake)
            }
            Err(RecvTimeoutError::Timeout) => crew.retire(&mut wake),
            Err(RecvTimeoutError::Disconnected) => {
                crew.depart(&mut wake);
                Next::Leave
            }
        };
        if next == Next::Leave {
            return wake_all(wake);
        }
    }
}

/// Counts a thread out that unwinds.
struct Busy<'a> {
    threads: &'a Threads,
    ended: bool,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let mut wake = Vec::new();
            self.threads.crew.lose(&mut wake);
            wake_all(wake);
        }
    }
}
