//! `${…}` in the events of a test: whole numbers, `n`, `+ - * / %` and parentheses.

use serde_json::Value;

/// Deepest nesting of parentheses and signs.
const DEPTH_MAX: usize = 20;

/// Why an expression has no value, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// In characters from the start of the text.
    pub(super) offset: usize,
    pub(super) reason: &'static str,
}

/// The text with every `${…}` replaced; a number if the whole text is one expression. `n` is the number of the
/// event in its series, from 0.
pub(super) fn fill(text: &str, n: i64) -> Result<Value, Fault> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let offset = text.chars().count() - rest.chars().count() + before.chars().count();
        let Some((expression, tail)) = after.split_once('}') else {
            return Err(Fault { offset, reason: "this `${` is not closed by `}`" });
        };
        let value = evaluate(expression, n)
            .map_err(|fault| Fault { offset: offset + 2 + fault.offset, reason: fault.reason })?;
        if before.is_empty() && tail.is_empty() && filled.is_empty() {
            return Ok(value.into());
        }
        filled.push_str(before);
        filled.push_str(&value.to_string());
        rest = tail;
    }
    filled.push_str(rest);
    Ok(Value::String(filled))
}

/// The value of one expression.
pub(super) fn evaluate(expression: &str, n: i64) -> Result<i64, Fault> {
    let mut parser = Parser { chars: expression.chars().collect(), at: 0, depth: 0, n };
    let value = parser.sum()?;
    match parser.next() {
        None => Ok(value),
        Some(_) => Err(parser.fault("expected `+`, `-`, `*`, `/`, `%` or the end")),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    n: i64,
}

impl Parser {
    /// The next character that is no blank; not taken.
    fn next(&mut self) -> Option<char> {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        self.chars.get(self.at).copied()
    }

    fn fault(&self, reason: &'static str) -> Fault {
        Fault { offset: self.at, reason }
    }

    fn sum(&mut self) -> Result<i64, Fault> {
        let mut left = self.product()?;
        while let Some(operator @ ('+' | '-')) = self.next() {
            self.at += 1;
            let right = self.product()?;
            let value = if operator == '+' { left.checked_add(right) } else { left.checked_sub(right) };
            left = value.ok_or(self.fault("the number is too large"))?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<i64, Fault> {
        let mut left = self.factor()?;
        while let Some(operator @ ('*' | '/' | '%')) = self.next() {
            self.at += 1;
            let right = self.factor()?;
            if operator != '*' && right == 0 {
                return Err(self.fault("division by zero"));
            }
            let value = match operator {
                '*' => left.checked_mul(right),
                '/' => left.checked_div(right),
                _ => left.checked_rem(right),
            };
            left = value.ok_or(self.fault("the number is too large"))?;
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<i64, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault("nested too deep"));
        }
        let value = match self.next() {
            Some('-') => {
                self.at += 1;
                self.factor()?.checked_neg().ok_or(self.fault("the number is too large"))?
            }
            Some('(') => {
                self.at += 1;
                let value = self.sum()?;
                if self.next() != Some(')') {
                    return Err(self.fault("expected `)`"));
                }
                self.at += 1;
                value
            }
            Some(c) if c.is_ascii_digit() => self.digits()?,
            Some('n') if !self.chars.get(self.at + 1).is_some_and(|c| c.is_alphanumeric()) => {
                self.at += 1;
                self.n
            }
            _ => return Err(self.fault("expected a whole number, `n` or `(`")),
        };
        self.depth -= 1;
        Ok(value)
    }

    fn digits(&mut self) -> Result<i64, Fault> {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(char::is_ascii_digit) {
            self.at += 1;
        }
        let digits: String = self.chars.iter().skip(start).take(self.at - start).collect();
        digits.parse().map_err(|_| Fault { offset: start, reason: "the number is too large" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_are_computed_with_their_usual_precedence() {
        for (text, n, expected) in [
            ("${100 + n}", 3, json!(103)),
            ("${n}", 7, json!(7)),
            ("user${n % 3}", 7, json!("user1")),
            ("${n}-${n*2}", 4, json!("4-8")),
            ("${2 + 3 * n}", 4, json!(14)),
            ("${(2 + 3) * n}", 4, json!(20)),
            ("${-n - -2}", 5, json!(-3)),
            ("${7 / 2}", 0, json!(3)),
            ("plain", 1, json!("plain")),
            ("$n {n}", 1, json!("$n {n}")),
        ] {
            assert_eq!(fill(text, n), Ok(expected), "{text}");
        }
    }

    #[test]
    fn faults_say_where_they_are() {
        for (text, offset, reason) in [
            ("a${n", 1, "not closed"),
            ("${1 / (n - 1)}", 13, "division by zero"),
            ("${m}", 2, "expected a whole number"),
            ("${n n}", 4, "expected `+`"),
            ("${(n}", 4, "expected `)`"),
            ("${}", 2, "expected a whole number"),
            ("${99999999999999999999}", 2, "too large"),
            ("${9223372036854775807 + n}", 25, "too large"),
        ] {
            let fault = fill(text, 1).unwrap_err();
            assert!(fault.reason.contains(reason), "{text}: {fault:?}");
            assert_eq!(fault.offset, offset, "{text}");
        }
        assert!(evaluate(&"(".repeat(1000), 0).is_err());
        assert!(evaluate(&"-".repeat(1000), 0).is_err());
    }
}
