//! Every bound of a script, in one place.

/// What one run of a script may use. All are counted, none is measured: the same script over the same input
/// always stops at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps of the interpreter in one run.
    pub operations: u64,
    /// Units of work inside helpers in one run: a regular expression costs 50 and one for every 8 bytes it
    /// reads, a look through the window one per event.
    pub helper_work: u64,
    /// Functions calling functions.
    pub call_levels: usize,
    /// Nesting of expressions and statements, at the top level and inside a function.
    pub expression_depth: usize,
    /// Bytes of one string, and of all strings within one array or map together.
    pub string_bytes: usize,
    /// Elements of one array, those of arrays inside it included. With `map_entries` it bounds how deep a value
    /// can nest, and so the stack that it takes to copy it.
    pub array_items: usize,
    /// Entries of one map, those of maps inside it included.
    pub map_entries: usize,
    /// Variables in scope at a time.
    pub variables: usize,
    /// Functions in a script, closures included.
    pub functions: usize,
    /// Bytes of a script's text.
    pub source_bytes: usize,
    /// Bytes of one key's state in memory.
    pub state_bytes: usize,
    /// Bytes of one regular expression once compiled.
    pub regex_bytes: usize,
    /// Compiled regular expressions kept for the next call.
    pub regexes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            operations: 50_000,
            helper_work: 100_000,
            call_levels: 16,
            expression_depth: 100,
            string_bytes: 64 << 10,
            array_items: 1_000,
            map_entries: 500,
            variables: 64,
            functions: 64,
            source_bytes: 64 << 10,
            state_bytes: 32 << 10,
            regex_bytes: 256 << 10,
            regexes: 256,
        }
    }
}
