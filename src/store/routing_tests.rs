//! Deciding about alerts: what is told, held back and told again, against the store.
