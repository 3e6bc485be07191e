//! Functions that walk through arrays and maps, instead of those of Rhai's packages.
//!
//! Rhai's own ask the interpreter about every element: each comparison of two long arrays takes half a
//! millisecond and counts as one operation, and a deeply nested value overflows the stack. These look at the
//! elements themselves and stop at [`DEPTH_MAX`].

use rhai::{Array, Dynamic, Engine, ImmutableString, Map};

use super::meter::{Answer, charge};
use super::object::Object;

/// Values nested deeper than this are unequal, and are printed as `…`.
const DEPTH_MAX: usize = 64;

pub(super) fn register(engine: &mut Engine) {
    macro_rules! equality {
        ($($kind:ty, $same:ident);*) => { $(
            engine.register_fn("==", |left: &mut $kind, right: $kind| -> Answer<bool> {
                charge(1 + left.len() as u64 / 16)?;
                Ok($same(left, &right, DEPTH_MAX))
            });
            engine.register_fn("!=", |left: &mut $kind, right: $kind| -> Answer<bool> {
                charge(1 + left.len() as u64 / 16)?;
                Ok(!$same(left, &right, DEPTH_MAX))
            });
        )* };
    }
    equality!(Array, arrays; Map, maps; Object, objects);
    engine.register_fn("contains", |items: &mut Array, value: Dynamic| -> Answer<bool> {
        Ok(index_of(items, &value)?.is_some())
    });
    engine.register_fn("index_of", |items: &mut Array, value: Dynamic| -> Answer<i64> {
        Ok(index_of(items, &value)?.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
    });
    engine.register_fn("dedup", |items: &mut Array| -> Answer<()> {
        charge(1 + items.len() as u64 / 16)?;
        items.dedup_by(|left, right| is_same(left, right, DEPTH_MAX));
        Ok(())
    });
    for name in ["to_string", "to_debug", "print", "debug"] {
        engine.register_fn(name, |items: &mut Array| shown(|text| show_array(items, text, DEPTH_MAX)));
        engine.register_fn(name, |map: &mut Map| shown(|text| show_map(map, text, DEPTH_MAX)));
        engine.register_fn(name, |object: &mut Object| {
            shown(|text| show_map(object.complete(), text, DEPTH_MAX))
        });
    }
    engine.register_fn("to_json", |map: &mut Map| {
        super::value::map_to_json(map, DEPTH_MAX).map_or_else(|_| String::new(), |json| json.to_string())
    });
}

/// What is printed is paid for afterwards: the work is bounded by the size of a value, the sum of it is not.
fn shown(show: impl FnOnce(&mut String)) -> Answer<String> {
    let mut text = String::new();
    show(&mut text);
    charge(1 + text.len() as u64 / 32)?;
    Ok(text)
}

fn index_of(items: &Array, value: &Dynamic) -> Answer<Option<usize>> {
    charge(1 + items.len() as u64 / 16)?;
    Ok(items.iter().position(|item| is_same(item, value, DEPTH_MAX)))
}

fn arrays(left: &Array, right: &Array, depth: usize) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right, depth))
}

fn maps(left: &Map, right: &Map, depth: usize) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .all(|(name, value)| right.get(name.as_str()).is_some_and(|other| is_same(value, other, depth)))
}

fn objects(left: &Object, right: &Object, depth: usize) -> bool {
    left.is_same(right) || maps(left.complete(), right.complete(), depth)
}

/// What `==` says in a script: whole numbers equal fractions, a letter equals the text of that letter, values
/// of other kinds differ.
fn is_same(left: &Dynamic, right: &Dynamic, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    if let (Ok(left), Ok(right)) = (left.as_int(), right.as_int()) {
        return left == right;
    }
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return left.partial_cmp(&right) == Some(std::cmp::Ordering::Equal);
    }
    if let (Some(left), Some(right)) =
        (left.read_lock::<ImmutableString>(), right.read_lock::<ImmutableString>())
    {
        return *left == *right;
    }
    if let (Some(left), Some(right)) = (left.read_lock::<Array>(), right.read_lock::<Array>()) {
        return arrays(&left, &right, depth);
    }
    if let (Some(left), Some(right)) = (left.read_lock::<Map>(), right.read_lock::<Map>()) {
        return maps(&left, &right, depth);
    }
    if let (Some(left), Some(right)) = (left.read_lock::<Object>(), right.read_lock::<Object>()) {
        return objects(&left, &right, depth);
    }
    let is_letter = left.is_char() || right.is_char();
    (left.is_unit() && right.is_unit())
        || left.as_bool().is_ok_and(|left| right.as_bool() == Ok(left))
        || (is_letter && letters(left).is_some_and(|left| letters(right) == Some(left)))
}

fn number(value: &Dynamic) -> Option<f64> {
    value.as_float().ok().or_else(|| value.as_int().ok().map(|whole| whole as f64))
}

fn letters(value: &Dynamic) -> Option<ImmutableString> {
    let text = value.read_lock::<ImmutableString>().map(|text| text.clone());
    text.or_else(|| value.as_char().ok().map(|letter| letter.to_string().into()))
}

/// A value as the language prints it.
pub(super) fn show(value: &Dynamic) -> String {
    if let Some(text) = letters(value) {
        return text.to_string();
    }
    let mut text = String::new();
    show_part(value, &mut text, DEPTH_MAX);
    text
}

fn show_part(value: &Dynamic, into: &mut String, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else {
        into.push('…');
        return;
    };
    if let Some(items) = value.read_lock::<Array>() {
        show_array(&items, into, depth);
    } else if let Some(map) = value.read_lock::<Map>() {
        show_map(&map, into, depth);
    } else if let Some(object) = value.read_lock::<Object>() {
        show_map(object.complete(), into, depth);
    } else if let Some(text) = value.read_lock::<ImmutableString>() {
        into.push_str(&format!("{:?}", text.as_str()));
    } else {
        into.push_str(&value.to_string());
    }
}

fn show_array(items: &Array, into: &mut String, depth: usize) {
    into.push('[');
    for (index, item) in items.iter().enumerate() {
        into.push_str(if index == 0 { "" } else { ", " });
        show_part(item, into, depth);
    }
    into.push(']');
}

fn show_map(map: &Map, into: &mut String, depth: usize) {
    into.push_str("#{");
    for (index, (name, value)) in map.iter().enumerate() {
        into.push_str(if index == 0 { "" } else { ", " });
        into.push_str(&format!("{:?}: ", name.as_str()));
        show_part(value, into, depth);
    }
    into.push('}');
}
