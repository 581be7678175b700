//! One question for all who ask the same while it is being answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::auth::TokenDigest;

/// Questions that are being answered, and those who wait for the answers.
pub struct Together<T>(Arc<Mutex<Asked<T>>>);

type Asked<T> = HashMap<TokenDigest, watch::Receiver<Option<T>>>;

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> Together<T> {
    /// The answer to a question, or that to the same question which somebody else asked before.
    ///
    /// Shape: `known` is looked at when nobody is asking, since the answer may have come a moment ago. The
    /// question is a task of its own: the others wait on, whatever becomes of who asked first. `None` where
    /// its answer never comes.
    pub async fn ask(
        &self,
        digest: TokenDigest,
        known: impl FnOnce() -> Option<T>,
        question: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut answer = {
            let mut asked = locked(&self.0);
            match asked.get(&digest) {
                Some(answer) => answer.clone(),
                None => {
                    if let Some(known) = known() {
                        return Some(known);
                    }
                    let (answered, answer) = watch::channel(None);
                    asked.insert(digest, answer.clone());
                    let asking = Asking { asked: self.0.clone(), digest };
                    tokio::spawn(async move {
                        let answer = question.await;
                        drop(asking);
                        answered.send_replace(Some(answer));
                    });
                    answer
                }
            }
        };
        answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone())
    }
}

/// A question that is being answered; once this is gone it is asked anew.
struct Asking<T> {
    asked: Arc<Mutex<Asked<T>>>,
    digest: TokenDigest,
}

impl<T> Drop for Asking<T> {
    fn drop(&mut self) {
        locked(&self.asked).remove(&self.digest);
    }
}

/// No panic leaves the map half-changed, so a poisoned one is as good as any.
fn locked<T>(asked: &Mutex<Asked<T>>) -> MutexGuard<'_, Asked<T>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::auth::BearerToken;

    fn digest(token: &str) -> TokenDigest {
        TokenDigest::of(&BearerToken::new(token))
    }

    #[tokio::test]
    async fn a_herd_asks_once_and_the_next_asks_anew() {
        let (together, count, go) =
            (Together::default(), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let question = || {
            let (count, go) = (count.clone(), go.clone());
            async move {
                go.notified().await;
                count.fetch_add(1, Ordering::Relaxed) + 1
            }
        };
        let unknown = || None;
        let (first, second, third, another, ()) = tokio::join!(
            together.ask(digest("a"), unknown, question()),
            together.ask(digest("a"), unknown, question()),
            together.ask(digest("a"), || Some(9), question()),
            together.ask(digest("b"), || Some(7), question()),
            async { go.notify_one() },
        );
        assert_eq!((first, second, third, another), (Some(1), Some(1), Some(1), Some(7)));
        go.notify_one();
        assert_eq!(together.ask(digest("a"), unknown, question()).await, Some(2));
        assert!(locked(&together.0).is_empty());
    }

    #[tokio::test]
    async fn a_question_that_dies_keeps_nobody_waiting_and_is_asked_anew() {
        let together = Together::<usize>::default();
        assert_eq!(together.ask(digest("a"), || None, async { panic!("it dies") }).await, None);
        assert_eq!(together.ask(digest("a"), || None, async { 1 }).await, Some(1));
    }
}
