//! Helpers over text, and those of Rhai's own functions over text whose work grows with it: the interpreter
//! counts each of them as one step, however long the text, so these count work by its length.

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Position};
use serde_json::Value;

use super::meter::{Answer, charge};
use super::value::text_of;

/// Bytes of text that are read for one unit of work.
const BYTES_PER_UNIT: u64 = 64;

/// Pays for reading a text once.
pub(super) fn pay(text: &str) -> Answer<()> {
    charge(text.len() as u64 / BYTES_PER_UNIT)
}

/// Teaches the engine the helpers, and its own functions what they cost.
pub(super) fn register(engine: &mut Engine, bytes_max: usize) {
    replacing(engine, bytes_max);
    for (name, change) in [("to_upper", upper as fn(&str) -> String), ("to_lower", lower)] {
        engine.register_fn(name, move |text: ImmutableString| -> Answer<String> {
            pay(&text)?;
            Ok(change(&text))
        });
    }
    for (name, change) in [("make_upper", upper as fn(&str) -> String), ("make_lower", lower)] {
        engine.register_fn(name, move |text: &mut ImmutableString| -> Answer<()> {
            pay(text)?;
            *text = change(text).into();
            Ok(())
        });
    }
    engine.register_fn("index_of", |text: ImmutableString, part: ImmutableString| -> Answer<i64> {
        charge(text.len() as u64 / 16)?;
        let at = text.find(part.as_str()).and_then(|at| text.get(..at));
        Ok(at.and_then(|before| i64::try_from(before.chars().count()).ok()).unwrap_or(-1))
    });
    engine.register_fn("lower", |value: Dynamic| changed(&value, lower));
    engine.register_fn("upper", |value: Dynamic| changed(&value, upper));
    engine.register_fn("contains_any", |value: Dynamic, texts: Array| {
        any(&value, &texts, |text, part| text.contains(part))
    });
    engine.register_fn("starts_with_any", |value: Dynamic, texts: Array| {
        any(&value, &texts, |text, part| text.starts_with(part))
    });
    engine.register_fn("ends_with_any", |value: Dynamic, texts: Array| {
        any(&value, &texts, |text, part| text.ends_with(part))
    });
    engine.register_fn("domain_of", |value: Dynamic| {
        let text = text_of(&value);
        let domain = text.as_ref().and_then(|text| text.rsplit_once('@'));
        domain.map_or(Dynamic::UNIT, |(_, domain)| domain.trim().to_lowercase().into())
    });
    engine.register_fn("entropy", |value: Dynamic| -> Answer<f64> {
        let Some(text) = text_of(&value) else { return Ok(0.0) };
        charge(1 + text.len() as u64 / 8)?;
        Ok(entropy(&text))
    });
    engine.register_fn("parse_json", |text: ImmutableString| parse_json(&text));
    engine.register_fn("parse_json", |(): ()| Dynamic::UNIT);
}

/// Rhai's own `replace` makes the new text before anybody asks how long it is: from two texts within the limit,
/// one of gigabytes.
fn replacing(engine: &mut Engine, bytes_max: usize) {
    let replace = move |text: &mut ImmutableString, old: &str, new: &str| -> Answer<()> {
        charge(1 + text.len() as u64 / 16)?;
        let found = text.matches(old).count();
        let bytes =
            text.len().saturating_sub(found * old.len()).saturating_add(found.saturating_mul(new.len()));
        if bytes > bytes_max {
            let what = "Length of string".to_owned();
            return Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into());
        }
        *text = text.replace(old, new).into();
        Ok(())
    };
    engine.register_fn(
        "replace",
        move |text: &mut ImmutableString, old: ImmutableString, new: ImmutableString| {
            replace(text, &old, &new)
        },
    );
    engine.register_fn("replace", move |text: &mut ImmutableString, old: ImmutableString, new: char| {
        replace(text, &old, new.encode_utf8(&mut [0; 4]))
    });
    engine.register_fn("replace", move |text: &mut ImmutableString, old: char, new: ImmutableString| {
        replace(text, old.encode_utf8(&mut [0; 4]), &new)
    });
    engine.register_fn("replace", move |text: &mut ImmutableString, old: char, new: char| {
        replace(text, old.encode_utf8(&mut [0; 4]), new.encode_utf8(&mut [0; 4]))
    });
}

fn upper(text: &str) -> String {
    text.to_uppercase()
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn changed(value: &Dynamic, change: impl Fn(&str) -> String) -> Answer<Dynamic> {
    let Some(text) = text_of(value) else { return Ok(Dynamic::UNIT) };
    pay(&text)?;
    Ok(change(&text).into())
}

fn any(value: &Dynamic, texts: &Array, holds: impl Fn(&str, &str) -> bool) -> Answer<bool> {
    let Some(text) = text_of(value) else { return Ok(false) };
    pay(&text)?;
    let text = text.to_lowercase();
    for part in texts.iter().filter_map(text_of) {
        charge(1 + (text.len() + part.len()) as u64 / BYTES_PER_UNIT)?;
        if holds(&text, &part.to_lowercase()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Shannon, "A Mathematical Theory of Communication" (1948): the sum over all letters of `-p log2 p`.
fn entropy(text: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::<char, u32>::new();
    for letter in text.chars() {
        *counts.entry(letter).or_default() += 1;
    }
    let length = f64::from(counts.values().sum::<u32>());
    let bits = |count: u32| {
        let share = f64::from(count) / length;
        -share * libm::log2(share)
    };
    // Rounded to what people compare with; never `-0.0`.
    (counts.into_values().map(bits).sum::<f64>() * 1000.0).round().abs() / 1000.0
}

fn parse_json(text: &str) -> Answer<Dynamic> {
    charge(1 + text.len() as u64 / 8)?;
    Ok(serde_json::from_str(text).map_or(Dynamic::UNIT, |value| plain(&value)))
}

/// JSON with plain maps, which a script may change.
fn plain(value: &Value) -> Dynamic {
    match value {
        Value::Array(items) => Dynamic::from_array(items.iter().map(plain).collect()),
        Value::Object(object) => Dynamic::from_map(
            object.iter().map(|(name, value)| (name.as_str().into(), plain(value))).collect(),
        ),
        scalar => super::value::from_json(scalar),
    }
}
