//! What is computed from the bytes of a message.

mod golden;
mod hostile;
mod properties;
