//! A callback's one answer as a future: what a browser's GPU is waited for with.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

struct Slot<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

/// The callback's end.
pub(super) struct Sender<T>(Arc<Mutex<Slot<T>>>);

/// The waiting end.
pub(super) struct Answer<T>(Arc<Mutex<Slot<T>>>);

/// Both ends.
pub(super) fn answer<T>() -> (Sender<T>, Answer<T>) {
    let slot = Arc::new(Mutex::new(Slot { answer: None, waker: None }));
    (Sender(Arc::clone(&slot)), Answer(slot))
}

fn open<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Sender<T> {
    pub(super) fn send(self, answer: T) {
        let mut slot = open(&self.0);
        slot.answer = Some(answer);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Answer<T> {
    /// True when waiting would not end at once.
    pub(super) fn is_pending(&self) -> bool {
        open(&self.0).answer.is_none()
    }
}

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = open(&self.0);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
