//! Settings that can be exchanged while the server runs.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A shared handle to settings that a reload may replace. A session or message takes one snapshot with
/// [`Live::get`] and keeps it, so that the rules never change in mid-conversation.
#[derive(Debug)]
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Live<T> {
    /// Starts with the given settings.
    pub fn new(settings: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    /// The settings in force now.
    pub fn get(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Puts new settings in force for every later call of [`Live::get`].
    pub fn set(&self, settings: T) {
        self.0.store(Arc::new(settings));
    }
}

impl<T: Default> Default for Live<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
