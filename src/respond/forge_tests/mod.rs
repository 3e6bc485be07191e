//! Every responder against the strict stand-ins: what is concluded from which answer, what is never touched, what undo does.

mod scene;
mod answers;
mod refusals;
mod undo;
mod walk;
mod settings;
