//! stub
#![allow(missing_docs, clippy::allow_attributes)]
use std::sync::Arc;
#[derive(Debug, Clone, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    pub line: u32,
    pub column: u32,
    pub message: String,
}
#[derive(Debug)]
pub struct Cage;
#[derive(Debug, Clone)]
pub struct EventValue;
impl EventValue {
    pub fn from_json(_: &serde_json::Map<String, serde_json::Value>) -> Self {
        Self
    }
}
#[derive(Debug)]
pub struct Predicate;
impl Predicate {
    pub fn compile(_: &Cage, _: &str, _: u32) -> Result<Self, ScriptError> {
        Ok(Self)
    }
    pub fn eval(&self, _: &Cage, _: &EventValue) -> Result<bool, ScriptError> {
        Ok(false)
    }
}
impl Cage {
    pub fn new() -> Arc<Self> {
        Arc::new(Self)
    }
}
#[derive(Debug)]
pub struct Program;
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct ScriptState(String);
impl ScriptState {
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}
#[derive(Debug)]
pub struct Window;
impl Window {
    pub fn new(_: Vec<EventValue>) -> Self {
        Self
    }
}
#[derive(Debug)]
pub struct ScriptFinding {
    pub reason: String,
    pub score: Option<f64>,
    pub value: Option<f64>,
}
impl Program {
    pub fn compile(_: &Cage, _: &str, _: u32) -> Result<Self, ScriptError> {
        Ok(Self)
    }
    pub fn run(
        &self,
        _: &Cage,
        _: &EventValue,
        _: &mut ScriptState,
        _: &Window,
    ) -> Result<Option<ScriptFinding>, ScriptError> {
        Ok(None)
    }
}
