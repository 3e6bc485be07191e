//! Templates that users write into the configuration: bodies, URLs and headers of their own calls.
//!
//! What a template inserts comes from audit events, which an attacker can shape. So every inserted value is
//! escaped for the place it goes to, a missing value is an error instead of nothing, and a URL takes no empty
//! or dotted path segment: `/users/{{ alert.key.author_id }}/block` must never become `/users//block`.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

/// How long a rendered text may be.
const BYTES_MAX: usize = 4 * 1024 * 1024;
const NAME: &str = "template";

/// Where inserted values go, hence how they are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Into JSON: texts for between quotes (`"{{ alert.title }}"`), all else as JSON; `| tojson` adds the quotes.
    Json,
    /// Into a URL: percent-encoded, neither empty nor `.` nor `..`.
    Url,
    /// Into `application/x-www-form-urlencoded`: percent-encoded.
    Form,
    /// Into text: as it is.
    Plain,
}

impl Escape {
    /// What a body of that content type needs.
    #[must_use]
    pub fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            json if json == "application/json" || json.ends_with("+json") => Self::Json,
            _ => Self::Plain,
        }
    }
}

/// A compiled template.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    escape: Escape,
}

/// What is wrong with a template, or with what it made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not compile, or asks for what is not there.
    #[error("template line {line}: {reason}")]
    Template {
        /// Line within the template, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A JSON template made something else.
    #[error("the template makes no JSON (line {line}, column {column} of its result): {reason}")]
    NotJson {
        /// Line of the result.
        line: usize,
        /// Column of the result.
        column: usize,
        /// What the JSON parser says.
        reason: String,
    },
    /// More than 4 MiB.
    #[error("the template makes {0} bytes, more than 4 MiB")]
    TooLong(usize),
}

impl fmt::Debug for Template {
    /// Only the kind: the text may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.escape)
    }
}

impl Template {
    /// Compiles `source`, which is minijinja (the syntax of Jinja2).
    ///
    /// # Errors
    /// When the syntax is wrong.
    pub fn new(source: &str, escape: Escape) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Any escaping but none makes the engine keep track of what is escaped already (captures, macros).
        environment.set_auto_escape_callback(move |_| match escape {
            Escape::Plain => AutoEscape::None,
            Escape::Json | Escape::Url | Escape::Form => AutoEscape::Custom("own".into()),
        });
        environment.set_formatter(move |out, state, value| write_value(out, state, value, escape));
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| failure(&error))?;
        Ok(Self { environment: Arc::new(environment), escape })
    }

    /// Fills the template in.
    ///
    /// # Errors
    /// When it asks for what `context` has not, makes too much, or a JSON template makes no JSON.
    pub fn render(&self, context: &serde_json::Value) -> Result<String, TemplateError> {
        let template = self.environment.get_template(NAME).map_err(|error| failure(&error))?;
        let text = template.render(value_of(context)).map_err(|error| failure(&error))?;
        if text.len() > BYTES_MAX {
            return Err(TemplateError::TooLong(text.len()));
        }
        if self.escape == Escape::Json
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text)
        {
            let (line, column, reason) = (error.line(), error.column(), error.to_string());
            return Err(TemplateError::NotJson { line, column, reason });
        }
        Ok(text)
    }
}

/// JSON as the template engine wants it.
pub(crate) fn value_of(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Value::from(signed),
            (None, Some(unsigned)) => Value::from(unsigned),
            (None, None) => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(value_of).collect::<Vec<_>>().into(),
        Json::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), value_of(value)))
            .collect::<BTreeMap<_, _>>()
            .into(),
    }
}

fn failure(error: &Error) -> TemplateError {
    let reason = error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
    let reason = match error.kind() {
        ErrorKind::UndefinedError => {
            format!("{reason}: this alert does not have the value; use `| default(…)`")
        }
        _ => reason,
    };
    TemplateError::Template { line: error.line().unwrap_or(1), reason }
}

fn write_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
    escape: Escape,
) -> Result<(), Error> {
    if value.is_safe() || escape == Escape::Plain {
        return minijinja::escape_formatter(out, state, &Value::from_safe_string(value.to_string()));
    }
    let written = match escape {
        Escape::Json => out.write_str(&json_inside(value)?),
        Escape::Url => out.write_str(&percent(&url_part(value)?)),
        Escape::Form | Escape::Plain => out.write_str(&percent(&value.to_string())),
    };
    written.map_err(Error::from)
}

fn json_inside(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        let bad = |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
        let quoted = serde_json::to_string(text).map_err(bad)?;
        return Ok(quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned());
    }
    let made = minijinja::filters::tojson(value, None, Kwargs::from_iter::<[(&str, Value); 0]>([]))?;
    Ok(made.to_string())
}

fn url_part(value: &Value) -> Result<String, Error> {
    let text = value.to_string();
    let is_scalar = matches!(value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool);
    if !is_scalar || matches!(text.as_str(), "" | "." | "..") {
        let reason = format!("`{text}` cannot be put into a URL");
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    Ok(text)
}

/// Percent-encodes all but the unreserved characters of RFC 3986, 2.3.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn render(source: &str, escape: Escape, context: serde_json::Value) -> Result<String, TemplateError> {
        Template::new(source, escape)?.render(&context)
    }

    #[test]
    fn urls_cannot_be_broken_out_of() {
        let url = |name: &str| {
            render("https://x/users/{{ name }}/block?u={{ name }}", Escape::Url, json!({"name": name}))
        };
        assert_eq!(url("7").unwrap(), "https://x/users/7/block?u=7");
        assert_eq!(
            url("a/b?c#d&e é").unwrap(),
            "https://x/users/a%2Fb%3Fc%23d%26e%20%C3%A9/block?u=a%2Fb%3Fc%23d%26e%20%C3%A9"
        );
        for name in ["", ".", ".."] {
            assert!(url(name).is_err(), "{name:?}");
        }
        assert!(render("https://x/{{ o }}", Escape::Url, json!({"o": {"a": 1}})).is_err());
        assert!(render("https://x/{{ n }}", Escape::Url, json!({"n": null})).is_err());
    }

    #[test]
    fn json_cannot_be_broken_out_of() {
        let context = json!({"t": "a \"quote\"\n\\", "n": 7, "o": {"a": [1, null]}});
        let text = render(
            r#"{"text": "{{ t }}", "n": {{ n }}, "all": {{ o }}, "t": {{ t | tojson }}}"#,
            Escape::Json,
            context,
        );
        let value: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
        assert_eq!(
            value,
            json!({"text": "a \"quote\"\n\\", "n": 7, "all": {"a": [1, null]}, "t": "a \"quote\"\n\\"})
        );
        let error = render("{\"a\": \n {{ t }}}", Escape::Json, json!({"t": "x"})).unwrap_err();
        assert!(matches!(error, TemplateError::NotJson { line: 2, .. }), "{error}");
    }

    #[test]
    fn captures_and_macros_are_escaped_once() {
        let source = "{% macro m(x) %}{{ x }}{% endmacro %}{% set c %}{{ t }}{% endset %}{{ m(t) }} {{ c }}";
        assert_eq!(render(source, Escape::Form, json!({"t": "a b"})).unwrap(), "a%20b a%20b");
    }

    #[test]
    fn missing_values_and_bad_syntax_say_where() {
        let error = render("a\nb {{ alert.nope.more }}", Escape::Plain, json!({"alert": {}})).unwrap_err();
        assert!(
            matches!(&error, TemplateError::Template { line: 2, reason } if reason.contains("default")),
            "{error}"
        );
        let error = Template::new("a\n{% if %}", Escape::Plain).unwrap_err();
        assert!(matches!(error, TemplateError::Template { line: 2, .. }), "{error}");
        assert_eq!(render("{{ x | default('none') }} <b>", Escape::Plain, json!({})).unwrap(), "none <b>");
    }

    #[test]
    fn the_content_type_chooses_the_escape() {
        assert_eq!(Escape::of("application/json; charset=utf-8"), Escape::Json);
        assert_eq!(Escape::of("application/vnd.api+JSON"), Escape::Json);
        assert_eq!(Escape::of("application/x-www-form-urlencoded"), Escape::Form);
        assert_eq!(Escape::of("text/plain"), Escape::Plain);
    }

    proptest! {
        #[test]
        fn any_text_survives_json_and_form(text in any::<String>()) {
            let made = render(r#"["{{ t }}"]"#, Escape::Json, json!({"t": text})).unwrap();
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&made).unwrap(), vec![text.clone()]);
            let mut bytes = Vec::new();
            let encoded = percent(&text);
            let mut rest = encoded.as_bytes();
            while let [first, tail @ ..] = rest {
                prop_assert!(first.is_ascii_alphanumeric() || b"-._~%".contains(first));
                let (byte, after) = match (first, tail) {
                    (b'%', [high, low, after @ ..]) => {
                        let digits = [*high, *low];
                        (u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap(), after)
                    }
                    _ => (*first, tail),
                };
                bytes.push(byte);
                rest = after;
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }
}
